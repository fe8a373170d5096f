import numpy as np
import pytest
from mmcv.transforms import Compose
from test_transforms import image

from mmregioncon.datasets.transforms import CommonRegions, DrawRegionCrops
from mmregioncon.datasets.transforms.common_regions import staying_boxes
from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import clip_boxes, crop_resize_affine, map_boxes, view_window

PIPELINE = [
    dict(type="DrawRegionCrops", size=96, crop_ratio_range=(0.2, 1.0)),
    dict(
        type="RegionMultiView",
        pipelines=[
            [
                dict(type="RegionCrop", window=window, size=96),
                dict(type="RegionRandomFlip", prob=0.5),
            ]
            for window in (0, 1)
        ],
    ),
    dict(type="CommonRegions"),
    dict(type="PackRegionInputs"),
]


def sample_of(info, seed=0):
    np.random.seed(seed)
    return Compose([TRANSFORMS.build(step) for step in PIPELINE])(info)["data_samples"]


def stays(box, windows, size, min_visible=0.6, min_area=144):
    """One box, by hand."""
    for x1, y1, x2, y2 in windows:
        width = max(min(box[2], x2) - max(box[0], x1), 0)
        height = max(min(box[3], y2) - max(box[1], y1), 0)
        if width * height < min_visible * (box[2] - box[0]) * (box[3] - box[1]):
            return False
        if width * height * size / (x2 - x1) * size / (y2 - y1) <= min_area:
            return False
    return True


@pytest.mark.parametrize("seed", range(20))
def test_the_boxes_that_stay_are_in_both_views(seed):
    info = image(seed=seed)
    sample = sample_of(dict(info), seed)
    windows = [view_window(affine, (96, 96)) for affine in sample.affines]
    expected = [i for i, box in enumerate(info["boxes"]) if stays(box, windows, 96)]
    for view, affine, window in zip(sample.views, sample.affines, windows):
        assert view.ids.tolist() == expected
        boxes = map_boxes(clip_boxes(info["boxes"][expected], window), affine)
        np.testing.assert_allclose(view.boxes, boxes, atol=1e-3)
        assert (view.boxes >= 0).all() and (view.boxes <= 96).all()


def test_the_crops_are_drawn_until_a_box_stays():
    kept = [len(sample_of(image(num_boxes=3, seed=seed), seed).views[0].ids) for seed in range(60)]
    once = [dict(PIPELINE[0], max_tries=1), *PIPELINE[1:]]
    lost = 0
    for seed in range(60):
        np.random.seed(seed)
        transform = Compose([TRANSFORMS.build(step) for step in once])
        lost += len(transform(image(num_boxes=3, seed=seed))["data_samples"].views[0].ids) == 0
    assert kept.count(0) < lost / 3


def test_windows_of_the_drawing_and_of_the_views_agree():
    """What DrawRegionCrops accepts is what CommonRegions keeps."""
    transform = [TRANSFORMS.build(step) for step in PIPELINE[:2]]
    for seed in range(30):
        np.random.seed(seed)
        info = transform[1](transform[0](image(num_boxes=2, seed=seed)))
        accepted = transform[0].accepts(info)
        CommonRegions()(info)
        assert accepted == (len(info["views"][0]["ids"]) > 0)


def test_an_image_without_boxes_has_none():
    sample = sample_of(image(num_boxes=0))
    assert [view.boxes.shape for view in sample.views] == [(0, 4), (0, 4)]
    assert [view.ids.shape for view in sample.views] == [(0,), (0,)]


@pytest.mark.parametrize(
    "box, expected",
    [
        ([0, 0, 20, 20], True),
        ([-8, 0, 12, 20], True),  # 60 % inside
        ([-8.1, 0, 11.9, 20], False),
        ([30, 30, 42, 42.01], True),  # just above 144 pixels
        ([30, 30, 42, 42], False),
        ([200, 200, 220, 220], False),
        ([30, 30, 30, 30], False),
    ],
)
def test_what_stays(box, expected):
    window = np.array([0.0, 0, 100, 100])
    found = staying_boxes(np.float32([box]), [window], [(100, 100)], 0.6, 144)
    assert found.tolist() == [expected]
    # the same view at half the scale: only boxes of four times the area stay
    small = staying_boxes(np.float32([box]), [window, window], [(100, 100), (50, 50)], 0.6, 36)
    assert small.tolist() == [expected]


def two_views(num_boxes=30):
    info = image(num_boxes=num_boxes)
    affines = [crop_resize_affine((0, 0, 160, 120), (96, 96))] * 2
    info["views"] = [dict(affine=a, img_shape=(96, 96), number=i) for i, a in enumerate(affines)]
    return info


def test_at_most_so_many_regions():
    np.random.seed(0)
    drawn = []
    for _ in range(20):
        first, second = CommonRegions(max_regions=4)(two_views())["views"]
        assert first["ids"].tolist() == second["ids"].tolist() and len(set(first["ids"])) == 4
        drawn.extend(first["ids"])
    assert len(set(drawn)) > 15, "not always the same ones"


@pytest.mark.parametrize("prob, first", [(0.0, {0}), (1.0, {1}), (0.5, {0, 1})])
def test_views_are_swapped(prob, first):
    np.random.seed(0)
    transform = CommonRegions(swap_prob=prob)
    assert {transform(two_views())["views"][0]["number"] for _ in range(20)} == first


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="CommonRegions.max_regions=0 must be at least 1"):
        CommonRegions(max_regions=0)
    with pytest.raises(ValueError, match="DrawRegionCrops.max_tries=0 must be at least 1"):
        DrawRegionCrops(size=96, max_tries=0)
    info = two_views()
    info["views"] = info["views"][:1]
    with pytest.raises(ValueError, match="CommonRegions needs the two views .* not 1"):
        CommonRegions()(info)
