import json
import pickle

import numpy as np
import pytest

from mmregioncon.regions.generate import PROPOSERS
from mmregioncon.registry import REGION_PROPOSERS

from .helpers import make_image

NAMES = [
    "fast_search",
    "selective_search",
    "selective_search_quality",
    "felzenszwalb",
    "grid",
    "random",
]
SHAPES = [(48, 64), (1, 1), (1, 30), (30, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, shape):
    img = make_image(0)[: shape[0], : shape[1]].copy()
    proposer = pickle.loads(pickle.dumps(REGION_PROPOSERS.build(dict(PROPOSERS[name]))))
    boxes, scores = proposer(img, "a/b.jpg")
    assert boxes.dtype == scores.dtype == np.float32
    assert boxes.shape == (len(scores), 4)
    assert len(boxes) > 0
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= shape[::-1]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (np.diff(scores) <= 0).all()
    np.random.seed(1)
    proposer(make_image(5), "another.jpg")
    again, _ = proposer(img, "a/b.jpg")
    np.testing.assert_array_equal(boxes, again)


def test_selective_search_finds_a_rectangle():
    img = np.full((60, 80, 3), 30, np.uint8)
    img[10:40, 20:60] = 220
    boxes, _ = REGION_PROPOSERS.build(dict(type="SelectiveSearch", sigma=0.2))(img, "x")
    assert np.abs(boxes - [20, 10, 60, 40]).max(1).min() <= 2


def test_felzenszwalb_finds_segments():
    img = np.full((60, 80, 3), 30, np.uint8)
    img[10:40, 20:60] = 220
    boxes, scores = REGION_PROPOSERS.build(dict(type="FelzenszwalbRegions", sigma=0.1))(img, "x")
    np.testing.assert_array_equal(boxes, [[0, 0, 80, 60], [20, 10, 60, 40]])
    np.testing.assert_allclose(scores, [0.75, 0.25])


def test_grid_covers_the_image():
    boxes, _ = REGION_PROPOSERS.build(dict(type="GridRegions", n=2))(make_image(0, 31, 41), "x")
    wanted = [[0, 0, 20.5, 15.5], [20.5, 0, 41, 15.5], [0, 15.5, 20.5, 31], [20.5, 15.5, 41, 31]]
    np.testing.assert_array_equal(boxes, wanted)


def test_random_depends_on_path_and_seed():
    img = make_image(0)
    build = REGION_PROPOSERS.build
    first = build(dict(type="RandomRegions", num=5))
    assert first(img, "a")[0].shape == (5, 4)
    assert not np.array_equal(first(img, "a")[0], first(img, "b")[0])
    other = build(dict(type="RandomRegions", num=5, seed=1))
    assert not np.array_equal(first(img, "a")[0], other(img, "a")[0])


@pytest.mark.parametrize(
    "cfg",
    [
        dict(type="SelectiveSearch", mode="slow"),
        dict(type="GridRegions", n=0),
        dict(type="RandomRegions", size_range=(0, 2)),
    ],
)
def test_bad_parameters(cfg):
    with pytest.raises(ValueError, match=cfg["type"]):
        REGION_PROPOSERS.build(cfg)


def test_coco_regions(tmp_path):
    images = [
        dict(id=7, file_name="train/a.jpg", height=48, width=64),
        dict(id=9, file_name="train/b.jpg", height=10, width=10),
        dict(id=10, file_name="val/b.jpg", height=48, width=64),
    ]
    annotations = [
        dict(image_id=7, bbox=[1, 2, 3, 4], score=0.2),
        dict(image_id=10, bbox=[0, 0, 5, 5]),
        dict(image_id=7, bbox=[5, 5, 10, 10], score=0.7),
    ]
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(dict(images=images, annotations=annotations)))
    proposer = REGION_PROPOSERS.build(dict(type="CocoRegions", ann_file=str(file)))
    img = make_image(0)
    for path in ("train/a.jpg", "elsewhere/a.jpg"):
        boxes, scores = proposer(img, path)
        np.testing.assert_array_equal(boxes, [[5, 5, 15, 15], [1, 2, 4, 6]])
        np.testing.assert_allclose(scores, [0.7, 0.2])
    assert len(proposer(img, "val/b.jpg")[0]) == 1
    assert len(proposer(img, "b.jpg")[0]) == 0  # two images have this name
    assert len(proposer(img, "c.jpg")[0]) == 0
    with pytest.raises(ValueError, match="10x10.*64x48"):
        proposer(img, "train/b.jpg")
