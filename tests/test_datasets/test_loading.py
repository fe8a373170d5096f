"""Large JPEGs decoded at a part of their size: the affine map stays exact."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmregioncon.datasets.transforms import BadImageError, DrawRegionCrops, LoadRegionImage
from mmregioncon.datasets.transforms.loading import reduction
from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import map_boxes, map_points

JPEG = b"\xff\xd8\xff\xe0"
ORIENTATION = 0x0112


def position_image(height, width):
    """Red grows with x, green with y: a pixel tells where it comes from."""
    img = np.zeros((height, width, 3))
    img[..., 2] = np.linspace(0, 255, width)
    img[..., 1] = np.linspace(0, 255, height)[:, None]
    return np.rint(img).astype(np.uint8)


def load(path, height, width, **kwargs):
    row = dict(img_path=str(path), height=height, width=width)
    return LoadRegionImage(**kwargs)(row)


@settings(max_examples=200)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 900), st.booleans())
def test_what_is_left_is_enough(height, width, min_side, exif):
    content = JPEG + b"Exif\x00\x00" * exif
    part = reduction(content, (height, width), min_side)
    assert part in (1, 2, 4, 8)
    assert part == 1 or min(height, width) // part >= min_side
    if part > 1 and exif:
        assert height % part == 0 and width % part == 0
    if part < 8 and not exif:
        assert min(height, width) // (2 * part) < min_side


@pytest.mark.parametrize("content", [b"\x89PNG\r\n", b"BM", b""])
def test_other_formats_are_decoded_whole(content):
    assert reduction(content, (4000, 4000), 100) == 1
    assert reduction(JPEG, (4000, 4000), 100) == 8
    assert reduction(JPEG, (4000, 4000), None) == 1


@pytest.mark.parametrize("height, width", [(480, 640), (483, 641), (487, 647), (241, 333)])
@pytest.mark.parametrize("part", [1, 2, 4, 8])
def test_a_pixel_comes_from_where_the_map_says(tmp_path, height, width, part):
    cv2.imwrite(str(tmp_path / "a.jpg"), position_image(height, width), [1, 98])
    item = load(tmp_path / "a.jpg", height, width, min_side=height // part)
    assert item["ori_shape"] == (height, width)
    assert item["img"].shape == (height // part, width // part, 3)
    assert item["img_shape"] == item["img"].shape[:2]
    np.testing.assert_allclose(item["affine"], np.diag([1 / part, 1 / part, 1]))
    h, w = item["img_shape"]
    centres = np.stack(np.meshgrid(np.arange(w), np.arange(h)), -1) + 0.5
    source = map_points(centres, np.linalg.inv(item["affine"])) - 0.5
    shown = item["img"][..., [2, 1]] / 255 * (width - 1, height - 1)
    # a step of the colour is up to 2.5 pixels; half a reduced pixel is 1 to 4
    assert np.abs(shown - source).mean() < 2.5
    assert np.abs((shown - source).mean((0, 1))).max() < 0.7


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(320, 480), (321, 483)])
def test_turned_images_keep_their_map(tmp_path, orientation, size):
    img = Image.fromarray(position_image(*size)[..., ::-1].copy())
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    img.save(tmp_path / "a.jpg", exif=exif, quality=98)
    whole = cv2.imread(str(tmp_path / "a.jpg"))
    height, width = whole.shape[:2]
    item = load(tmp_path / "a.jpg", height, width, min_side=80)
    part = 4 if size == (320, 480) else 1
    assert item["img"].shape == (height // part, width // part, 3)
    expected = cv2.resize(whole, item["img_shape"][::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(item["img"].astype(int) - expected).max() <= 4


def test_a_reduced_view_looks_like_one_of_the_whole_image(tmp_path):
    rng = np.random.default_rng(0)
    img = cv2.resize(rng.normal(128, 60, (60, 80, 3)), (1280, 960), interpolation=cv2.INTER_CUBIC)
    img = (img + rng.normal(0, 10, img.shape)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), img)
    resize = TRANSFORMS.build(dict(type="RegionResize", size=224))
    whole, reduced = (
        resize(load(tmp_path / "a.jpg", 960, 1280, min_side=side)) for side in (None, 366)
    )
    np.testing.assert_allclose(reduced["affine"], whole["affine"])
    assert np.abs(reduced["img"].astype(int) - whole["img"]).mean() < 1.5


def test_the_message_tells_of_the_reduced_size(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((400, 400, 3), np.uint8))
    with pytest.raises(BadImageError, match=r"a.jpg is \(200, 200\).*says \(420, 400\).*1/2"):
        load(tmp_path / "a.jpg", 420, 400, min_side=150)


def test_crops_of_a_reduced_image_are_judged_by_its_boxes():
    boxes = np.float32([[800, 600, 1000, 800]])
    affine = np.diag([1 / 8, 1 / 8, 1])
    small = dict(img=np.zeros((125, 150, 3), np.uint8), boxes=boxes, affine=affine)
    draw = DrawRegionCrops(size=64, min_visible=1.0, crop_ratio_range=(0.3, 0.6), max_tries=200)
    np.random.seed(0)
    for _ in range(20):
        for x, y, w, h in draw(dict(small))["windows"]:
            x1, y1, x2, y2 = map_boxes(boxes, affine)[0]
            assert x <= x1 and y <= y1 and x2 <= x + w and y2 <= y + h
