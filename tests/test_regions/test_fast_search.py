"""fast_search on pictures whose objects are known."""

import cv2
import numpy as np
import pytest

from mmregioncon.regions.fast_search import FastSearch


def picture(height=180, width=240):
    """Three plain rectangles on a plain ground, and their boxes."""
    img = np.full((height, width, 3), 90, np.uint8)
    boxes = np.float32([[20, 20, 80, 100], [120, 30, 220, 80], [60, 120, 160, 170]])
    for (x1, y1, x2, y2), colour in zip(boxes.astype(int), [(0, 0, 255), (0, 255, 0), (255, 0, 0)]):
        img[y1:y2, x1:x2] = colour
    return img, boxes


def best_overlaps(boxes, wanted):
    low = np.maximum(boxes[:, None, :2], wanted[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], wanted[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    areas = [(one[:, 2:] - one[:, :2]).prod(axis=1) for one in (boxes, wanted)]
    return (shared / (areas[0][:, None] + areas[1] - shared)).max(axis=0)


@pytest.mark.parametrize("zoom", [1, 3])
def test_finds_plain_objects_at_any_size(zoom):
    img, wanted = picture()
    img = cv2.resize(img, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    boxes, scores = FastSearch()(img, "a.jpg")
    assert boxes.dtype == scores.dtype == np.float32 and len(boxes) == len(scores)
    assert (np.diff(scores) <= 0).all()
    assert (boxes >= 0).all() and (boxes[:, 2:] <= (240 * zoom, 180 * zoom)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert best_overlaps(boxes, wanted * zoom).min() > 0.8


def test_the_same_boxes_every_time():
    img = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    first, second = (FastSearch()(img, "a.jpg") for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3, 2), (300, 2)])
def test_tiny_and_narrow_pictures(shape):
    img = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    boxes, _ = FastSearch()(img, "a.jpg")
    assert len(boxes) and (boxes[:, 2:] <= shape[::-1]).all() and (boxes >= 0).all()
