"""fast_search on pictures whose objects are known."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmregioncon.datasets.demo.scenes import render_scene
from mmregioncon.evaluation import average_recall, best_overlaps
from mmregioncon.regions.fast_search import FastSearch, reduce_image, to_full_size


def picture(height=180, width=240):
    """Three plain rectangles on a plain ground, and their boxes."""
    img = np.full((height, width, 3), 90, np.uint8)
    boxes = np.float32([[20, 20, 80, 100], [120, 30, 220, 80], [60, 120, 160, 170]])
    for (x1, y1, x2, y2), colour in zip(boxes.astype(int), [(0, 0, 255), (0, 255, 0), (255, 0, 0)]):
        img[y1:y2, x1:x2] = colour
    return img, boxes


@pytest.mark.parametrize("zoom", [1, 3])
def test_finds_plain_objects_at_any_size(zoom):
    img, wanted = picture()
    img = cv2.resize(img, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    boxes, scores = FastSearch()(img, "a.jpg")
    assert boxes.dtype == scores.dtype == np.float32 and len(boxes) == len(scores)
    assert (np.diff(scores) <= 0).all()
    assert (boxes >= 0).all() and (boxes[:, 2:] <= (240 * zoom, 180 * zoom)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert best_overlaps(wanted * zoom, boxes, [len(boxes)]).min() > 0.8


def test_the_same_boxes_every_time():
    img = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    first, second = (FastSearch()(img, "a.jpg") for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3, 2), (300, 2)])
def test_tiny_and_narrow_pictures(shape):
    img = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    boxes, _ = FastSearch()(img, "a.jpg")
    assert len(boxes) and (boxes[:, 2:] <= shape[::-1]).all() and (boxes >= 0).all()


def test_recall_of_demo_objects():
    best = []
    for seed in range(8):
        scene = render_scene(np.random.default_rng(seed))
        boxes, _ = FastSearch()(scene.image, "a.jpg")
        best.append(best_overlaps(scene.boxes, boxes, [10, 100]))
    best = np.concatenate(best)
    assert len(best) == 26
    assert average_recall(best)[1] > 0.55
    assert average_recall(best, [0.5])[1] > 0.85


SIDES = st.integers(1, 3000)


@settings(max_examples=60)
@given(SIDES, SIDES, st.integers(1, 400), st.data())
def test_boxes_of_the_reduced_picture_map_back(height, width, long_side, data):
    small = reduce_image(np.zeros((height, width, 3), np.uint8), long_side).shape[:2]
    assert max(small) == min(long_side, max(height, width)) and min(small) >= 1
    assert (
        np.abs(np.array(small) - np.array([height, width]) * max(small) / max(height, width)).max()
        <= 1
    )

    ys, xs = (sorted(data.draw(st.tuples(*[st.integers(0, side)] * 2))) for side in small)
    boxes = np.array([[xs[0], ys[0], xs[1], ys[1]], [0, 0, small[1], small[0]]])
    full = to_full_size(boxes, small, (height, width))
    assert full.dtype == np.float32 and full.shape == boxes.shape
    np.testing.assert_array_equal(full[1], [0, 0, width, height])  # borders exactly
    assert (full[0] >= 0).all() and (full[0, 2:] <= [width, height]).all()
    assert (full[0, 2:] >= full[0, :2]).all()
    back = to_full_size(full, (height, width), small)
    np.testing.assert_allclose(back, boxes, atol=1e-3)
    if small == (height, width):
        np.testing.assert_array_equal(full, boxes)


def test_top_keeps_the_best():
    img, _ = picture()
    boxes, _ = FastSearch(rank="position")(img, "a.jpg")
    few, scores = FastSearch(rank="position", top=5)(img, "a.jpg")
    np.testing.assert_array_equal(few, boxes[:5])
    assert scores.tolist() == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])
    with pytest.raises(ValueError, match="FastSearch top=0"):
        FastSearch(top=0)
