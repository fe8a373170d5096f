import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmregioncon.regions.filters import build_filter, ccop_filter, clip_to_image, nms, soco_filter

IMAGE = (100, 200)  # height, width; sqrt(HW) = 141.4


def as_boxes(*boxes):
    return np.array(boxes, np.float32).reshape(-1, 4)


def box(width, height):
    return [0, 0, width, height]


GOOD, LARGE, LONG, SMALL = box(60, 50), box(190, 95), box(130, 40), box(31, 60)


@pytest.mark.parametrize(
    ("given_boxes", "kept"),
    [
        ([GOOD, LARGE, LONG, SMALL], [GOOD]),
        ([LARGE, LONG, SMALL], [LARGE]),  # no size left: aspect
        ([LONG, SMALL], [LONG]),  # no aspect left: side
        ([SMALL], [box(200, 100)]),  # the image
        ([], [box(200, 100)]),
        ([box(32, 96)], [box(32, 96)]),  # bounds are closed
    ],
)
def test_soco_fallback(given_boxes, kept):
    boxes = as_boxes(*given_boxes)
    got, scores = soco_filter(boxes, np.ones(len(boxes), np.float32), IMAGE)
    np.testing.assert_array_equal(got, as_boxes(*kept))
    assert scores.shape == (len(kept),)


@pytest.mark.parametrize(
    ("side", "kept"), [(0.29, False), (0.31, True), (0.79, True), (0.81, False)]
)
def test_soco_relative_size(side, kept):
    length = side * 1000
    boxes = as_boxes(box(length, length), box(500, 500))
    got, _ = soco_filter(boxes, np.ones(2, np.float32), (1000, 1000))
    assert len(got) == 1 + kept


def naive_nms(boxes, order, threshold):
    kept = []
    for i in order:
        for j in kept:
            left, top = np.maximum(boxes[i, :2], boxes[j, :2])
            right, bottom = np.minimum(boxes[i, 2:], boxes[j, 2:])
            common = max(right - left, 0) * max(bottom - top, 0)
            areas = [np.prod(boxes[k, 2:] - boxes[k, :2]) for k in (i, j)]
            if common / (sum(areas) - common) > threshold:
                break
        else:
            kept.append(i)
    return kept


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 10**6))
def test_nms_against_naive(num, seed):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 20, (num, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 20, (num, 2))], 1).astype(np.float32)
    order = rng.permutation(num)
    assert nms(boxes, order, 0.45).tolist() == naive_nms(boxes, order, 0.45)


def test_ccop_bounds_order_and_top():
    rng = np.random.default_rng(0)
    good = as_boxes([0, 0, 21, 21], [50, 0, 80, 30], [100, 0, 140, 50])
    bad = as_boxes(box(20, 20), box(90, 30))  # sqrt(wh) and aspect must be beyond the bound
    boxes = np.concatenate([good, bad])
    got, _ = ccop_filter(boxes, np.ones(5, np.float32), IMAGE, rng)
    assert {tuple(b) for b in got} == {tuple(b) for b in good}
    orders = {
        tuple(ccop_filter(boxes, np.arange(5), IMAGE, np.random.default_rng(i))[1])
        for i in range(9)
    }
    assert len(orders) > 1
    assert len(ccop_filter(boxes, np.ones(5), IMAGE, rng, top=2)[0]) == 2
    assert len(ccop_filter(bad, np.ones(2), IMAGE, rng)[0]) == 0


def test_top_keeps_the_best_in_order():
    boxes = as_boxes(*[box(40 + i, 40) for i in range(4)])
    scores = np.array([0.1, 0.9, 0.5, 0.9], np.float32)
    for name in ("soco", "none"):
        got, kept = build_filter(dict(type=name, top=3))(boxes, scores, IMAGE, None)
        np.testing.assert_array_equal(kept, scores[[1, 3, 2]])
        np.testing.assert_array_equal(got, boxes[[1, 3, 2]])


def test_clip_to_image():
    boxes = as_boxes([-5, -5, 10, 10], [190, 90, 300, 300], [5, 5, 5, 9], [250, 0, 260, 5])
    got, scores = clip_to_image(boxes, np.arange(4, dtype=np.float32), IMAGE)
    np.testing.assert_array_equal(got, as_boxes([0, 0, 10, 10], [190, 90, 200, 100]))
    assert scores.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (dict(type="socco"), "socco.*soco, ccop, none"),
        (dict(type="soco", min_sid=3), "min_sid.*min_side, max_aspect"),
    ],
)
def test_build_filter_errors(cfg, message):
    with pytest.raises(ValueError, match=message):
        build_filter(cfg)
