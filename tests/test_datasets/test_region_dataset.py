import random

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmregioncon.datasets import RegionDataset, collate_views, seed_worker
from mmregioncon.regions import RegionRow, RegionStoreError, write_store

LOAD = [dict(type="mmregioncon.LoadRegionImage")]


def boxes_of(index):
    corner = np.float32([[index, 1], [2, 3]])
    return np.concatenate([corner, corner + 20], axis=1)


@pytest.fixture
def images(tmp_path):
    """Six 40 x 30 images in a folder, and their region file."""
    folder = tmp_path / "images"
    folder.mkdir()
    rows = []
    for i in range(6):
        cv2.imwrite(str(folder / f"{i}.jpg"), np.full((30, 40, 3), 40 * i, np.uint8))
        rows.append(RegionRow(f"{i}.jpg", 30, 40, boxes_of(i), np.ones(2, np.float32)))
    write_store(tmp_path / "regions.arrow", rows, dict(root=str(folder)))
    return folder


def dataset(images, **kwargs):
    return RegionDataset(str(images.parent / "regions.arrow"), pipeline=LOAD, **kwargs)


def test_an_item_is_the_row_and_its_image(images):
    data = dataset(images)
    assert len(data) == 6
    item = data[3]
    assert item["img_path"] == str(images / "3.jpg")
    assert (item["height"], item["width"], item["sample_idx"]) == (30, 40, 3)
    np.testing.assert_array_equal(item["boxes"], boxes_of(3))
    np.testing.assert_array_equal(item["region_ids"], [0, 1])
    assert item["img"].shape == (30, 40, 3) and abs(item["img"].mean() - 120) < 2


@pytest.mark.parametrize(
    "indices, rows", [(2, [0, 1]), ([5, 1], [5, 1]), ([-1], [5]), (100, range(6))]
)
def test_indices_choose_rows(images, indices, rows):
    data = dataset(images, indices=indices)
    assert [data[i]["img_path"] for i in range(len(data))] == [
        str(images / f"{r}.jpg") for r in rows
    ]
    assert [data[i]["sample_idx"] for i in range(len(data))] == list(range(len(data)))


def test_a_file_without_boxes_is_refused_by_those_who_need_boxes(images):
    file = images.parent / "regions.arrow"
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    write_store(file, [RegionRow("0.jpg", 30, 40, *none)], dict(root=str(images)))
    assert len(dataset(images)) == 1
    select = dict(type="mmregioncon.SelectPairRegions", pairs=[(0, 1)])
    with pytest.raises(RegionStoreError, match="not one box, and SelectPairRegions.*--filter-args"):
        RegionDataset(str(file), pipeline=[*LOAD, select])


def test_data_root_overrides_that_of_the_file(images):
    images.rename(images.parent / "moved")
    data = dataset(images, data_root=str(images.parent / "moved"))
    assert data[0]["img_path"] == str(images.parent / "moved" / "0.jpg")


def missing_file(images):
    (images.parent / "regions.arrow").unlink()


def cut_file(images):
    path = images.parent / "regions.arrow"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty_file(images):
    write_store(images.parent / "regions.arrow", [], dict(root=str(images)))


def other_images(images):
    images.rename(images.parent / "moved")


@pytest.mark.parametrize(
    "damage, message",
    [
        (missing_file, "generate_regions"),
        (cut_file, "generate_regions"),
        (empty_file, "holds no images.*region_file.*propose regions"),
        (other_images, "none of five.*0.jpg.*data_root.*generate_regions.py"),
    ],
)
def test_unusable_region_files_are_refused_by_name(images, damage, message):
    damage(images)
    with pytest.raises(RegionStoreError, match=rf"(?s)regions\.arrow.*{message}"):
        dataset(images)


def missing(path):
    path.unlink()


def truncated(path):
    path.write_bytes(path.read_bytes()[:20])


def zero_bytes(path):
    path.write_bytes(b"")


def another_size(path):
    cv2.imwrite(str(path), np.zeros((31, 40, 3), np.uint8))


@pytest.mark.parametrize("damage", [missing, truncated, zero_bytes, another_size])
def test_a_bad_image_is_replaced_counted_and_reported(images, damage):
    damage(images / "3.jpg")
    data = dataset(images)
    items = [data[3] for _ in range(5)]
    assert all(item["img_path"] != str(images / "3.jpg") for item in items)
    assert int(data._bad_samples) >= 5
    assert data[2]["img_path"] == str(images / "2.jpg")


def test_a_bad_image_is_named_in_the_log(images, monkeypatch):
    lines = []
    monkeypatch.setattr(
        "mmregioncon.datasets.region_dataset.print_log", lambda text, *args: lines.append(text)
    )
    another_size(images / "3.jpg")
    dataset(images)[3]
    assert "bad sample 1" in lines[0] and str(images / "3.jpg") in lines[0]
    assert "(31, 40)" in lines[0] and "(30, 40)" in lines[0]


def test_too_many_bad_images_stop_with_file_key_and_remedy(images):
    missing(images / "3.jpg")
    data = dataset(images, max_bad_samples=2)
    with pytest.raises(RuntimeError) as error:
        for _ in range(3):
            data.prepare_data(3)
    message = str(error.value)
    for part in ("regions.arrow", "3.jpg", "max_bad_samples=2", "validate_regions.py"):
        assert part in message
    assert "train_dataloader.dataset.max_bad_samples" in message


def test_none_may_be_bad(images):
    missing(images / "3.jpg")
    with pytest.raises(RuntimeError, match="max_bad_samples=0"):
        dataset(images, max_bad_samples=0)[3]


def test_a_fault_of_the_pipeline_is_not_a_bad_image(images):
    data = dataset(images)
    data.pipeline.transforms.append(lambda results: results["no_such_key"])
    with pytest.raises(KeyError, match="no_such_key"):
        data[0]
    assert int(data._bad_samples) == 0


def loader(data, num_workers=1, collate_fn=pseudo_collate, **kwargs):
    return DataLoader(
        data, num_workers=num_workers, collate_fn=collate_fn, worker_init_fn=seed_worker, **kwargs
    )


def views(*steps):
    pipeline = [dict(type="RegionResize", size=16), dict(type="RegionRandomFlip"), *steps]
    pack = dict(type="PackRegionInputs")
    return [*LOAD, dict(type="RegionMultiView", pipelines=[pipeline] * 2), pack]


JITTER = dict(type="RegionColorJitter", brightness=0.4, hue=0.1)


def test_left_to_the_device_workers_draw_the_same_and_change_nothing(images):
    file = str(images.parent / "regions.arrow")
    batches = []
    for on_device in (False, True, True):
        data = RegionDataset(file, pipeline=views(JITTER), colours_on_device=on_device)
        torch.manual_seed(0)
        batches.append(next(iter(loader(data, collate_fn=collate_views, batch_size=6))))
    here, there, again = batches
    assert "colours" not in here["data_samples"][0]
    for one, other in zip(there["data_samples"], again["data_samples"]):
        assert one.colours == other.colours and one.colours[0] != one.colours[1]
    for view, other in zip(there["inputs"], again["inputs"]):
        assert view.shape == (6, 3, 16, 16) and view.dtype == torch.uint8
        assert torch.equal(view, other)
    affines = [np.stack([one.affines for one in b["data_samples"]]) for b in (here, there)]
    np.testing.assert_array_equal(*affines)  # flips are not disturbed
    assert not torch.equal(here["inputs"][0], there["inputs"][0])


def test_without_colours_nothing_can_be_left_to_the_device(images):
    file = str(images.parent / "regions.arrow")
    with pytest.raises(ValueError, match="colours_on_device=True, but no view.*set it to False"):
        RegionDataset(file, pipeline=views(), colours_on_device=True)


def test_a_batch_is_its_samples(images):
    data = RegionDataset(str(images.parent / "regions.arrow"), pipeline=views())
    samples = [data[i] for i in range(3)]
    expected = [[view.clone() for view in sample["inputs"]] for sample in samples]
    batch = collate_views(samples)
    for index, view in enumerate(batch["inputs"]):
        assert torch.equal(view, torch.stack([one[index] for one in expected]))
    assert [one.sample_idx for one in batch["data_samples"]] == [0, 1, 2]


def test_the_count_is_shared_with_workers(images):
    missing(images / "3.jpg")
    data = dataset(images)
    list(loader(data))
    first = int(data._bad_samples)
    list(loader(data))
    assert 1 <= first < int(data._bad_samples)


def test_the_limit_holds_over_workers(images):
    missing(images / "3.jpg")
    data = dataset(images, max_bad_samples=1)
    with pytest.raises(RuntimeError, match="max_bad_samples=1"):
        for _ in range(3):
            list(loader(data))


class Draws(torch.utils.data.Dataset):
    """What the generators of a worker give."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return random.random(), float(np.random.rand()), float(torch.rand(1))


def epochs(seed, num=2):
    torch.manual_seed(seed)
    draws = loader(Draws(), batch_size=1)
    return [list(draws) for _ in range(num)]


def test_workers_draw_anew_each_epoch_and_the_same_for_the_same_seed():
    first, again, other = epochs(0), epochs(0), epochs(1)
    assert first == again
    assert first[0] != first[1], "augmentations would repeat every epoch"
    for generator in range(3):
        seen = {float(batch[generator][0]) for run in (first, other) for e in run for batch in e}
        assert len(seen) == 8
