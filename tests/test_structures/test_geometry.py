import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmregioncon.structures import (
    box_areas,
    clip_boxes,
    crop_resize_affine,
    hflip_affine,
    jitter_boxes,
    map_boxes,
    map_points,
    view_window,
    visible_boxes,
)

coordinate = st.floats(0, 500, allow_nan=False, width=32)


@st.composite
def boxes(draw, count=5):
    corner = np.array(draw(st.lists(st.tuples(coordinate, coordinate), min_size=count)))[:count]
    side = st.floats(1, 300, width=32)
    size = np.array(draw(st.lists(st.tuples(side, side), min_size=count)))[:count]
    return np.concatenate([corner, corner + size], axis=1)


@st.composite
def views(draw):
    """An affine map of crop, resize and perhaps flip, and the view's size."""
    x, y = draw(st.integers(0, 200)), draw(st.integers(0, 200))
    w, h = draw(st.integers(16, 400)), draw(st.integers(16, 400))
    size = (draw(st.integers(16, 300)), draw(st.integers(16, 300)))
    affine = crop_resize_affine((x, y, w, h), size)
    if draw(st.booleans()):
        affine = hflip_affine(size[0]) @ affine
    return affine, size, (x, y, x + w, y + h)


@given(boxes(), views())
def test_there_and_back_is_the_identity(boxes, view):
    affine, _, _ = view
    back = map_boxes(map_boxes(boxes, affine), np.linalg.inv(affine))
    np.testing.assert_allclose(back, boxes, atol=1e-6)


@given(boxes(), views())
def test_clipping_in_the_view_is_clipping_to_its_window(boxes, view):
    affine, size, window = view
    np.testing.assert_allclose(view_window(affine, size), window, atol=1e-6)
    in_view = clip_boxes(map_boxes(boxes, affine), (0, 0, *size))
    assert (in_view >= 0).all() and (in_view <= np.tile(size, 2)).all()
    in_image = map_boxes(clip_boxes(boxes, window), affine)
    np.testing.assert_allclose(in_view, in_image, atol=1e-5)


@given(boxes(), views())
def test_two_flips_are_none(boxes, view):
    affine, (width, _), _ = view
    flip = hflip_affine(width)
    np.testing.assert_allclose(flip @ (flip @ affine), affine, atol=1e-9)
    once, before = map_boxes(boxes, flip @ affine), map_boxes(boxes, affine)
    np.testing.assert_allclose(once[:, [0, 2]], width - before[:, [2, 0]], atol=1e-5)


@given(boxes(), views())
def test_visible_boxes_are_those_with_area_in_the_window(boxes, view):
    _, _, window = view
    assert (visible_boxes(boxes, window) == (box_areas(clip_boxes(boxes, window)) > 0)).all()


def test_corners_of_a_crop_go_to_corners_of_the_view():
    affine = crop_resize_affine((10, 20, 50, 40), (100, 200))
    points = map_points(np.array([[10.0, 20.0], [60.0, 60.0]]), affine)
    np.testing.assert_allclose(points, [[0, 0], [100, 200]])


@pytest.mark.parametrize(
    "draws, expected",
    [
        ((0, 0, 0, 0), (10, 20, 30, 60)),
        ((0.1, -0.1, 0, 0), (12, 16, 32, 56)),
        ((0, 0, 0.5, -0.5), (10, 20, 40, 40)),
    ],
)
def test_jitter_is_relative_to_the_box(draws, expected):
    box = np.array([[10, 20, 30, 60]], dtype=np.float32)
    np.testing.assert_allclose(jitter_boxes(box, np.array([draws]))[0], expected)
