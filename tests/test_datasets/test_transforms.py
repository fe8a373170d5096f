import numpy as np
import pytest
from mmcv.transforms import Compose
from PIL import Image

from mmregioncon.datasets.transforms import RegionMultiView, SelectPairRegions
from mmregioncon.datasets.transforms.pair_regions import choose_common, jitter_some
from mmregioncon.datasets.transforms.views import resize
from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import (
    clip_boxes,
    crop_resize_affine,
    jitter_boxes,
    map_boxes,
    view_window,
)

PIPELINE = [
    dict(
        type="RegionMultiView",
        pipelines=[
            [dict(type="RegionResize", size=96), dict(type="RegionRandomFlip", prob=0.5)],
            [
                dict(type="RegionRandomResizedCrop", scale=96, crop_ratio_range=(0.5, 1.0)),
                dict(type="RegionRandomFlip", prob=0.5),
            ],
            [
                dict(type="RegionRandomResizedCrop", scale=48, crop_of=1),
                dict(type="RegionRandomFlip", prob=0.5),
            ],
        ],
    ),
    dict(type="SelectPairRegions", pairs=[(0, 1), (0, 2)], num_regions=4, jitter_views=()),
    dict(type="RegionCutout", views=(1, 2)),
    dict(type="PackRegionInputs"),
]


def build(pipeline=PIPELINE):
    return Compose([TRANSFORMS.build(step) for step in pipeline])


def image(num_boxes=10, height=120, width=160, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, (width - 60, height - 60), (num_boxes, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(20, 60, (num_boxes, 2))], 1)
    return dict(
        img=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        height=height,
        width=width,
        ori_shape=(height, width),
        boxes=boxes.astype(np.float32),
        region_ids=np.arange(num_boxes),
    )


def test_a_view_shows_what_its_affine_map_says():
    # the colour of a pixel is its own position in the image
    img = np.zeros((100, 200, 3), np.uint8)
    img[..., 0] = np.arange(200)
    img[..., 1] = np.arange(100)[:, None]
    np.random.seed(3)
    crop = dict(type="RegionRandomResizedCrop", scale=64, crop_ratio_range=(0.3, 0.6))
    flip = dict(type="RegionRandomFlip", prob=1.0)
    view = RegionMultiView([[crop, flip]])
    view = view(dict(img=img))["views"][0]
    centres = np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1).reshape(-1, 2) + 0.5
    inverse = np.linalg.inv(view["affine"])
    source = centres @ inverse[:2, :2].T + inverse[:2, 2] - 0.5
    shown = view["img"][..., :2].reshape(-1, 2).astype(float)
    assert np.abs(shown - source).max() < 2.0


@pytest.mark.parametrize("seed", range(20))
def test_ids_agree_and_boxes_are_the_same_part_of_the_image(seed):
    np.random.seed(seed)
    info = image(seed=seed)
    sample = build()(dict(info))["data_samples"]
    originals = info["boxes"]
    for view, (affine, size) in enumerate(zip(sample.affines, [96, 96, 48])):
        regions = sample.views[view]
        assert np.isfinite(regions.boxes).all()
        assert (regions.boxes >= 0).all() and (regions.boxes <= size).all()
        assert (regions.boxes[:, 2:] > regions.boxes[:, :2]).all()
        window = view_window(affine, (size, size))
        expected = map_boxes(clip_boxes(originals[regions.ids], window), affine)
        np.testing.assert_allclose(regions.boxes, expected, atol=1e-3)
    first, second, third = (one.ids for one in sample.views)
    assert first.tolist() == second.tolist() + third.tolist()


def test_the_third_view_is_the_second_at_another_size():
    np.random.seed(0)
    sample = build()(image())["data_samples"]
    windows = [view_window(a, (s, s)) for a, s in zip(sample.affines, (96, 96, 48))]
    np.testing.assert_allclose(windows[1], windows[2], atol=1e-6)


def test_few_boxes_are_repeated():
    np.random.seed(0)
    ids = build()(image(num_boxes=1))["data_samples"].views[1].ids
    assert ids.tolist() == [0, 0, 0, 0]


def test_without_boxes_the_common_window_stands_in():
    np.random.seed(0)
    sample = build()(image(num_boxes=0))["data_samples"]
    assert set(sample.views[1].ids.tolist()) == {0}
    np.testing.assert_allclose(sample.views[1].boxes[0], [0, 0, 96, 96], atol=1e-4)


def test_views_that_share_nothing_have_empty_slots():
    views = [
        dict(affine=np.eye(3), img_shape=(10, 10)),
        dict(affine=np.array([[1, 0, -50], [0, 1, 0], [0, 0, 1.0]]), img_shape=(10, 10)),
    ]
    info = dict(image(num_boxes=0), views=views)
    SelectPairRegions(pairs=[(0, 1)], num_regions=2)(info)
    assert info["views"][0]["ids"].tolist() == [-1, -1]


def test_pairs_must_use_every_view():
    pipeline = [PIPELINE[0], dict(type="SelectPairRegions", pairs=[(0, 1)])]
    with pytest.raises(ValueError, match=r"pairs=\[\(0, 1\)\].*3 views"):
        build(pipeline)(image())


def test_a_pair_without_slots_is_refused():
    with pytest.raises(ValueError, match="num_regions=0"):
        SelectPairRegions(pairs=[(0, 1)], num_regions=0)


def test_a_box_is_not_jittered_out_of_sight():
    np.random.seed(0)
    boxes = np.tile(np.array([[9, 9, 30, 30]], np.float32), (200, 1))
    placed = jitter_some(boxes, np.array([0, 0, 10.5, 10.5]), prob=1.0, amount=0.1)
    shown = clip_boxes(placed, (0, 0, 10.5, 10.5))
    assert (shown[:, 2:] > shown[:, :2]).all()
    assert (placed != boxes).any() and (placed == boxes).all(axis=1).any()


def test_cutout_paints_inside_boxes_only():
    np.random.seed(1)
    info = image()
    info["views"] = [
        dict(
            img=np.zeros((64, 64, 3), np.uint8),
            boxes=np.array([[8, 8, 40, 40]], np.float32),
            ids=np.array([0]),
        )
    ]
    cutout = TRANSFORMS.build(dict(type="RegionCutout", views=(0,), prob=1.0))
    painted = cutout(info)["views"][0]["img"].any(axis=2)
    assert 0.08 < painted.sum() / 32**2 < 0.34
    painted[8:40, 8:40] = False
    assert not painted.any()


CASES = range(16)


def originals(golden, case, key):
    """A golden array of inclusive pixel boxes, as pixel edges, and the ids."""
    table = golden[f"c{case:02d}_{key}"]
    boxes = table[:, :4].astype(np.float32).copy()
    boxes[:, 2:] += 1
    return boxes, table[:, 4].astype(int)


@pytest.mark.parametrize("case", CASES)
def test_common_boxes_are_those_of_the_original(golden, case):
    boxes, ids = originals(golden("soco_boxes"), case, "props_xyxy_id")
    windows = []
    for key in ("params1", "params2"):
        top, left, height, width = golden("soco_boxes")[f"c{case:02d}_{key}"][:4]
        windows.append(np.array([left, top, left + width, top + height]))
    chosen = choose_common(boxes, windows, num=len(boxes))
    expected = golden("soco_boxes")[f"c{case:02d}_overlap_props"][:, 4].astype(int)
    assert set(ids[chosen]) == set(expected)


@pytest.mark.parametrize("case", CASES)
def test_jitter_is_that_of_the_original(golden, case):
    table = golden("soco_boxes")
    boxes, ids = originals(table, case, "selected")
    moves = table[f"c{case:02d}_jitter_rand"] < 0.5
    uniform = table[f"c{case:02d}_jitter_uniform"].reshape(-1, 4)
    draws = np.zeros((len(boxes), 4))
    draws[moves] = uniform
    expected, jittered_ids = originals(table, case, "jittered")
    assert (ids == jittered_ids).all()
    np.testing.assert_allclose(jitter_boxes(boxes, draws), expected, atol=1.5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size, suffix", [(224, ""), (112, "_112")])
def test_boxes_in_the_view_are_those_of_the_original(golden, case, size, suffix):
    table = golden("soco_boxes")
    top, left, height, width = table[f"c{case:02d}_params2"][:4].astype(int)
    affine = crop_resize_affine((left, top, width, height), (size, size))
    boxes, ids = originals(table, case, "selected")
    in_view = clip_boxes(map_boxes(boxes, affine), (0, 0, size, size))
    resized = table[f"c{case:02d}_resized2{suffix}"]
    scale = max(size / width, size / height, 1)
    for expected in resized:
        ours = in_view[ids == int(expected[4])][0]
        # inclusive pixels: the original's far edge lies one source pixel short
        assert np.abs(ours - expected[:4]).max() <= 1.5 * scale


@pytest.mark.parametrize("size", [(96, 96), (33, 57), (400, 300), (160, 20), (1, 1)])
def test_resize_is_pillows_bicubic(size):
    rng = np.random.default_rng(0)
    img = rng.integers(0, 256, (130, 170, 3), np.uint8)[5:125, 7:167]  # a crop: rows with gaps
    resized = resize(img, size)
    expected = np.asarray(Image.fromarray(img).resize(size, Image.Resampling.BICUBIC))
    assert resized.dtype == np.uint8 and resized.flags.c_contiguous
    difference = np.abs(resized.astype(int) - expected)
    assert difference.max() <= 2 and difference.mean() < 0.02
