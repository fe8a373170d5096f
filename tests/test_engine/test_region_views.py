from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.structures import InstanceData
from tiny_soco import tiny_batch

from mmregioncon.engine.hooks import RegionViewsHook
from mmregioncon.structures import RegionDataSample
from mmregioncon.visualization import draw_views


@pytest.fixture
def batch():
    inputs, samples = tiny_batch(batch_size=3, sizes=(64, 64, 48))
    return dict(inputs=[view.mul(0).byte() for view in inputs], data_samples=samples)


def run(hook, folder, batch, epoch=0):
    hook.before_train_iter(SimpleNamespace(epoch=epoch, work_dir=str(folder)), 0, batch)
    return sorted(path.name for path in folder.glob("views/*"))


def test_a_row_is_an_image_and_a_column_a_view(tmp_path, batch):
    assert run(RegionViewsHook(num_images=2), tmp_path, batch) == ["epoch_0.png"]
    picture = cv2.imread(str(tmp_path / "views/epoch_0.png"))
    assert picture.shape == (2 * 64, 64 + 64 + 48 + 3 * 4, 3)
    for column in (slice(0, 64), slice(68, 132), slice(136, 184)):
        assert picture[:64, column].any(), "each view has boxes drawn on it"
    assert not batch["inputs"][0].any(), "the batch itself is not painted"


def test_fewer_images_than_rows(tmp_path, batch):
    run(RegionViewsHook(num_images=10), tmp_path, batch)
    assert cv2.imread(str(tmp_path / "views/epoch_0.png")).shape[0] == 3 * 64


def test_once_in_every_interval_of_epochs(tmp_path, batch):
    hook = RegionViewsHook(interval=2, num_images=1)
    for epoch in (0, 0, 1, 2, 3, 4):
        names = run(hook, tmp_path, batch, epoch)
    assert names == ["epoch_0.png", "epoch_2.png", "epoch_4.png"]


def test_points_are_drawn_instead_of_boxes():
    regions = InstanceData(
        boxes=np.float32([[0, 0, 40, 40], [0, 0, 0, 0]]),
        ids=np.array([3, -1]),
        points=np.float32([[[4, 8], [30, 20]], [[50, 50], [50, 50]]]),
    )
    sample = RegionDataSample()
    sample.views = [regions]
    picture = draw_views([np.zeros((3, 64, 64), np.uint8)], sample).any(axis=2)
    assert picture[8, 4] and picture[20, 30]
    assert not picture[0].any() and not picture[45:].any(), "neither boxes nor empty slots"
