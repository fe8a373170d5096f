"""Label maps, and points drawn from their regions."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import Compose

from mmregioncon.datasets import RegionDataset
from mmregioncon.datasets.transforms import (
    BadImageError,
    FelzenszwalbLabels,
    GridLabels,
    MaskLabels,
    SampleRegionPoints,
)
from mmregioncon.datasets.transforms.region_points import labels_at, pick, scatter
from mmregioncon.regions import ReducedSegments, generate_regions, list_images
from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import batch_points, crop_resize_affine, hflip_affine, map_points


def image(width=160, height=120, seed=0):
    rng = np.random.default_rng(seed)
    return dict(
        img=rng.integers(0, 256, (height, width, 3), dtype=np.uint8), height=height, width=width
    )


def pipeline(labels, size=64, **sampling):
    views = [
        [dict(type="RegionCrop", window=window, size=size), dict(type="RegionRandomFlip")]
        for window in (0, 1)
    ]
    steps = [
        dict(type="DrawOverlappingCrops"),
        dict(type="RegionMultiView", pipelines=views),
        dict(type="SampleRegionPoints", **sampling),
    ]
    return Compose([labels] + [TRANSFORMS.build(step) for step in steps])


class Given:
    """A label map that is given."""

    def __init__(self, label_map):
        self.labels = label_map

    def __call__(self, results):
        return dict(results, label_map=self.labels)


def in_image(view, points):
    return map_points(points.astype(np.float64), np.linalg.inv(view["affine"]))


maps = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), st.integers(0, 10**6))


@settings(max_examples=60)
@given(maps, st.sampled_from([(160, 120), (37, 211), (64, 64)]), st.booleans(), st.integers(1, 9))
def test_points_lie_in_the_view_and_in_their_region(shape, size, matched, num):
    """Of any map at any resolution, also one with holes that belong to no region."""
    height, width, labels, seed = shape
    rng = np.random.default_rng(seed)
    label_map = rng.integers(-2, labels, (height, width), dtype=np.int32)
    np.random.seed(seed)
    transform = pipeline(Given(label_map), num_points=num, max_regions=8, matched=matched)
    first, second = transform(image(*size))["views"]
    assert first["ids"].tolist() == second["ids"].tolist()
    ids = first["ids"][first["ids"] >= 0]
    assert len(ids) != 1 and len(set(ids)) == len(ids)
    assert (first["ids"][len(ids) :] == -1).all() and len(first["ids"]) == 8
    for view in (first, second):
        points = view["points"]
        assert points.shape == (8, num, 2) and points.dtype == np.float32
        assert (points >= 0).all() and (points <= 64).all()
        assert (view["boxes"][:, 2:] >= view["boxes"][:, :2]).all()
        # float32 may carry a point over the edge of its element of the map
        source = in_image(view, points[: len(ids)]) / size * (width, height)
        near = [labels_at_clipped(source + shift, label_map) for shift in NUDGES]
        assert (np.stack(near) == ids[:, None]).any(axis=0).all()
    if matched:
        here, there = (in_image(view, view["points"][: len(ids)]) for view in (first, second))
        np.testing.assert_allclose(here, there, atol=1e-3)


NUDGES = 1e-4 * np.array([[0, 0], [1, 1], [1, -1], [-1, 1], [-1, -1]])


def labels_at_clipped(place, label_map):
    shape = np.array(label_map.shape[::-1])
    x, y = np.floor(place).astype(int).clip(0, shape - 1).reshape(-1, 2).T
    return label_map[y, x].reshape(place.shape[:-1])


def test_points_are_uniform_in_the_visible_part():
    """Cells of the view that lie in the region, all alike, in each view by itself."""
    label_map = np.int32([[0, 1, 1, 1]])
    view = dict(img_shape=(64, 64), affine=crop_resize_affine((0, 0, 160, 120), (64, 64)))
    np.random.seed(0)
    results = dict(label_map=label_map, width=160, height=120, views=[dict(view), dict(view)])
    SampleRegionPoints(num_points=2000)(results)
    first, second = (one["points"][1] for one in results["views"])
    assert not np.isclose(first, second).all(axis=1).any()
    for points in (first, second):
        counts, _, _ = np.histogram2d(*points.T, bins=(6, 4), range=((16, 64), (0, 64)))
        assert counts.sum() == 2000 and np.abs(counts - 2000 / 24).max() < 30


def test_padding_one_region_and_too_many():
    np.random.seed(0)
    few = pipeline(GridLabels(2), max_regions=6, num_points=3)(image())["views"]
    assert few[0]["ids"].tolist()[4:] == [-1, -1] and not few[0]["points"][4:].any()
    one = pipeline(Given(np.zeros((3, 3), np.int32)))(image())["views"]
    assert (one[0]["ids"] == -1).all(), "one region alone has nothing to be contrasted with"
    many = pipeline(GridLabels(8), max_regions=5)(image())["views"]
    assert (many[0]["ids"] >= 0).all() and many[0]["points"].shape == (5, 16, 2)


def test_pick_repeats_only_what_is_used_up():
    labels = np.array([3, 7, 3, 3, -1, 7, 3])
    np.random.seed(0)
    chosen = pick(labels, np.array([3, 7]), 4)
    assert sorted(chosen[0]) == [0, 2, 3, 6] and sorted(chosen[1]) == [1, 1, 5, 5]
    assert pick(labels, np.array([], int), 4).shape == (0, 4)


def test_scatter_has_one_point_in_each_cell():
    np.random.seed(0)
    cells = np.floor(scatter((32, 16), side=8) / (4, 2)).astype(int)
    assert len({tuple(cell) for cell in cells}) == 64
    assert cells.min() == 0 and cells.max() == 7


def test_points_outside_of_the_image_have_no_region():
    label_map = np.int32([[4, 5], [6, 7]])
    points = np.array([[0, 0], [9.9, 0], [0, 19.9], [9.9, 19.9], [10, 0], [0, -0.1]])
    assert labels_at(points, label_map, (10, 20)).tolist() == [4, 5, 6, 7, -1, -1]


@pytest.mark.parametrize("options", [dict(num_points=0), dict(max_regions=0)])
def test_no_points_are_refused(options):
    with pytest.raises(ValueError, match="=0 must be at least 1"):
        SampleRegionPoints(**options)


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="two views.*GridLabels"):
        SampleRegionPoints()(dict(views=[{}, {}]))


def test_one_seed_gives_one_draw():
    drawn = []
    for _ in range(2):
        np.random.seed(5)
        drawn.append(pipeline(GridLabels())(image())["views"][1]["points"])
    assert np.array_equal(*drawn)


def test_points_reach_the_model():
    np.random.seed(0)
    transform = Compose([pipeline(GridLabels()), TRANSFORMS.build(dict(type="PackRegionInputs"))])
    samples = [transform(image(seed=seed))["data_samples"] for seed in range(3)]
    points, ids = batch_points(samples, view=1)
    assert points.shape == (3, 16, 16, 2) and ids.shape == (3, 16)
    assert np.array_equal(points[2], samples[2].views[1].points)
    assert samples[0].matched_points is False


@pytest.mark.parametrize("grid", [1, 0])
def test_a_grid_of_one_cell_is_refused(grid):
    with pytest.raises(ValueError, match=f"GridLabels.grid={grid} must be at least 2"):
        GridLabels(grid)


def test_grid_cells_are_numbered_row_by_row():
    label_map = GridLabels(4)({})["label_map"]
    centres = np.array([[20, 15], [60, 15], [20, 45], [140, 105]])
    assert labels_at(centres, label_map, (160, 120)).tolist() == [0, 1, 4, 15]


@pytest.mark.parametrize("size", [(160, 120), (120, 700), (900, 30)])
def test_segments_lie_where_they_are_in_the_image(size):
    width, height = size
    img = np.full((height, width, 3), 20, np.uint8)
    img[:, width // 2 :] = 220
    results = FelzenszwalbLabels(min_size=20)(dict(img=img))
    points = np.array([[0.25, 0.5], [0.4, 0.1], [0.75, 0.5], [0.6, 0.9]]) * size
    found = labels_at(points, results["label_map"], size)
    assert found[0] == found[1] != found[2] == found[3]
    assert max(results["label_map"].shape) == min(256, max(size))


@pytest.fixture
def segmented(tmp_path):
    """A region file with segments of two images."""
    for i, size in enumerate([(300, 420), (90, 60)]):
        img = np.random.default_rng(i).integers(0, 256, (*(side // 30 for side in size), 3))
        img = cv2.resize(img.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), img)
    images = list_images(tmp_path / "images")
    random = dict(type="RandomRegions")
    generate_regions(images, tmp_path / "r", random, segments={}, workers=1, progress=False)
    return str(tmp_path / "r")


def test_segments_of_the_region_file_are_those_made_on_the_fly(segmented, monkeypatch):
    pipeline = [dict(type="LoadRegionImage"), dict(type="FelzenszwalbLabels")]
    dataset = RegionDataset(segmented, pipeline=pipeline)
    infos = [dataset.get_data_info(i) for i in range(2)]
    computed = [dataset.pipeline(dict(info, segments=None))["label_map"] for info in infos]
    monkeypatch.setattr(ReducedSegments, "__call__", None)
    for info, expected in zip(infos, computed):
        label_map = dataset.pipeline(info)["label_map"]
        assert label_map.dtype == expected.dtype == np.int32
        np.testing.assert_array_equal(label_map, expected)
        assert label_map.max() >= 3


def test_damaged_segments_are_a_bad_sample(segmented):
    info = dict(RegionDataset(segmented).get_data_info(0), segments=b"damaged")
    with pytest.raises(BadImageError, match="segments of .*0.png: not a packed label map"):
        FelzenszwalbLabels()(info)


def square(x, y, side):
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


@pytest.fixture
def ann_file(tmp_path):
    run_length = dict(size=[60, 80], counts=[60 * 70, 60 * 10])  # the last ten columns
    masks = [square(10, 10, 20), square(5, 5, 40), run_length, None]
    content = dict(
        images=[dict(id=4, file_name="a/one.jpg"), dict(id=5, file_name="two.jpg")],
        annotations=[
            dict(id=i, image_id=4, segmentation=mask) for i, mask in enumerate(masks) if mask
        ]
        + [dict(id=9, image_id=4, iscrowd=1, segmentation=square(0, 0, 60))],
    )
    path = tmp_path / "masks.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_masks_are_regions_and_the_smallest_wins(ann_file):
    info = dict(height=60, width=80, img_path="data/images/a/one.jpg")
    label_map = MaskLabels(ann_file)(info)["label_map"]
    assert label_map.shape == (60, 80) and label_map.dtype == np.int32
    assert label_map[15, 15] not in (-1, label_map[40, 40]) and label_map[40, 40] >= 0
    assert label_map[50, 50] == -1, "background, and crowds, are no region"
    assert (label_map[:, 70:] == label_map[0, 75]).all() and label_map[0, 75] >= 0
    assert len(np.unique(label_map)) == 4


def test_an_image_without_masks_has_no_region(ann_file):
    info = dict(height=60, width=80, img_path="/data/two.jpg")
    assert (MaskLabels(ann_file)(info)["label_map"] == -1).all()


def test_an_image_that_is_not_listed_is_a_bad_sample(ann_file):
    with pytest.raises(BadImageError, match="b/one.jpg is none of the images.*masks.json"):
        MaskLabels(ann_file)(dict(height=60, width=80, img_path="b/one.jpg"))


def test_masks_of_another_size_are_a_bad_sample(ann_file):
    with pytest.raises(BadImageError, match=r"one.jpg is \(61, 80\).*masks.json"):
        MaskLabels(ann_file)(dict(height=61, width=80, img_path="a/one.jpg"))


@pytest.mark.parametrize(
    "content, message",
    [
        (dict(images=[], annotations=[]), "no annotation has a 'segmentation'"),
        (dict(annotations=[]), "no 'images' list"),
        (dict(images=[dict(id=1, file_name="a"), dict(id=2, file_name="a")]), "two images"),
        (None, "no such file"),
    ],
)
def test_a_file_without_masks_is_refused_when_built(tmp_path, content, message):
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        MaskLabels(str(path))


def test_masks_agree_with_opencv(ann_file):
    """The order of axes and the frame: a polygon lands where OpenCV fills it."""
    with open(ann_file) as file:
        content = json.load(file)
    polygon = np.array([[12, 7], [50, 20], [22, 48]])
    content["annotations"] = [dict(image_id=5, segmentation=[polygon.ravel().tolist()])]
    with open(ann_file, "w") as file:
        json.dump(content, file)
    label_map = MaskLabels(ann_file)(dict(height=60, width=80, img_path="two.jpg"))["label_map"]
    filled = cv2.fillPoly(np.zeros((60, 80), np.uint8), [polygon], 1).astype(bool)
    assert (filled ^ (label_map == 0)).sum() < 0.12 * filled.sum()


def view_of(corners, bins):
    """Affine map from a unit image to ``bins`` cells a side; a flipped crop has x1 > x2."""
    x1, y1, x2, y2 = corners
    window = (min(x1, x2), y1, abs(x2 - x1), y2 - y1)
    affine = crop_resize_affine(window, (bins, bins))
    return hflip_affine(bins) @ affine if x1 > x2 else affine


@pytest.mark.parametrize("bins", [7, 14])
def test_places_correspond_as_in_the_original(golden, bins):
    """The release's correspondence of two crops (nearer than half the larger bin's diagonal), from
    our affine maps alone."""
    data = golden("plrc_overlap")
    centres = np.stack(np.meshgrid(np.arange(bins), np.arange(bins)), -1).reshape(-1, 2) + 0.5
    for corners_q, corners_k, mask in zip(data["coord_q"], data["coord_k"], data[f"mask_{bins}"]):
        to_image = [
            np.linalg.inv(view_of(corners.astype(float), bins))
            for corners in (corners_q, corners_k)
        ]
        here, there = (map_points(centres, affine) for affine in to_image)
        diagonal = max(np.linalg.norm(affine[[0, 1], [0, 1]]) for affine in to_image)
        distance = np.linalg.norm(here[:, None] - there, axis=-1) / diagonal
        clear = np.abs(distance - data["pos_ratio"]) > 1e-4
        assert mask.any() and clear.mean() > 0.99
        assert np.array_equal((distance < data["pos_ratio"])[clear], mask.astype(bool)[clear])
