"""Filters of proposed boxes: pure functions of arrays, and the presets of the methods.

Boxes are ``(K, 4)`` float32 xyxy in image pixels, ``shape`` is the image's ``(height, width)``.
A preset has the signature ``(boxes, scores, shape, rng, **options) -> (boxes, scores)``.
"""

import functools
import inspect

import numpy as np


def box_sizes(boxes):
    """Widths and heights, ``(2, K)``."""
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def clip_to_image(boxes, scores, shape):
    """Clip boxes to the image and drop those with nothing left (or NaN)."""
    height, width = shape
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    widths, heights = box_sizes(boxes)
    keep = (widths > 0) & (heights > 0)
    return boxes[keep], scores[keep]


def min_side_mask(boxes, min_side):
    """Boxes whose two sides are at least ``min_side`` pixels."""
    widths, heights = box_sizes(boxes)
    return (widths >= min_side) & (heights >= min_side)


def aspect_mask(boxes, max_aspect):
    """Boxes with width / height in ``[1 / max_aspect, max_aspect]``."""
    widths, heights = box_sizes(boxes)
    return (widths <= max_aspect * heights) & (heights <= max_aspect * widths)


def relative_size_mask(boxes, shape, size_range):
    """Boxes with sqrt(w h) / sqrt(W H) in the closed ``size_range``."""
    widths, heights = box_sizes(boxes)
    relative = np.sqrt(widths * heights / (shape[0] * shape[1]))
    return (relative >= size_range[0]) & (relative <= size_range[1])


def top_k(scores, k):
    """Indices of the ``k`` best scores (all if ``None``), best first, ties in given order."""
    return np.argsort(-scores, kind="stable")[:k]


def nms(boxes, order, iou_thr, top=None):
    """Greedy non-maximum suppression.

    In NumPy, as ``torchvision.ops`` would cost every start of a tool seconds of imports.

    Args:
        boxes: ``(K, 4)`` float32 xyxy.
        order: ``(K,)`` indices, the one to keep first in front.
        iou_thr: a box with a higher IoU to a kept one is dropped.
        top: stop when so many are kept.

    Returns:
        np.ndarray: indices of the kept boxes, in ``order``'s order.
    """
    rest, kept = np.asarray(order), []
    while len(rest) and len(kept) != top:
        kept.append(rest[0])
        rest = rest[1:][_iou(boxes[rest[0]], boxes[rest[1:]]) <= iou_thr]
    return np.array(kept, dtype=np.int64)


def _iou(box, boxes):
    """IoU of ``(4,)`` with ``(K, 4)``."""
    common = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.prod(np.maximum(common, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return common / (areas + np.prod(box[2:] - box[:2]) - common)


def whole_image(shape):
    """The image itself as the only region, score 1."""
    height, width = shape
    return np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32)


def soco_filter(
    boxes, scores, shape, rng=None, min_side=32, max_aspect=3, size_range=(0.3, 0.8), top=None
):
    """SoCo's filter: side, aspect and relative size.

    Where nothing is left it falls back, as the release does: without the relative size, then
    on the minimum side alone, then on the whole image.

    Args:
        top: keep only so many of the best scores.
    """
    large = min_side_mask(boxes, min_side)
    shaped = large & aspect_mask(boxes, max_aspect)
    sized = shaped & relative_size_mask(boxes, shape, size_range)
    for mask in (sized, shaped, large):
        if mask.any():
            kept = np.flatnonzero(mask)
            kept = kept[top_k(scores[kept], top)]
            return boxes[kept], scores[kept]
    return whole_image(shape)


def ccop_filter(boxes, scores, shape, rng, max_aspect=3, min_size=20, iou_thr=0.5, top=50):
    """CCOP's filter: aspect, sqrt(w h), then NMS in random order, the first ``top`` kept.

    Args:
        rng: NumPy generator that draws the order.
    """
    widths, heights = box_sizes(boxes)
    large = widths * heights > min_size**2
    # CCOP's bounds are open, SoCo's closed.
    shaped = (widths < max_aspect * heights) & (heights < max_aspect * widths)
    order = rng.permutation(np.flatnonzero(large & shaped))
    kept = nms(boxes, order, iou_thr, top)
    return boxes[kept], scores[kept]


def no_filter(boxes, scores, shape, rng=None, top=None):
    """Everything, or the ``top`` best scores."""
    kept = top_k(scores, top)
    return boxes[kept], scores[kept]


FILTERS = {"soco": soco_filter, "ccop": ccop_filter, "none": no_filter}


def build_filter(cfg):
    """Make a filter from ``dict(type="soco" | "ccop" | "none", **options)``.

    Raises:
        ValueError: unknown filter or option.
    """
    options = dict(cfg)
    name = options.pop("type")
    if name not in FILTERS:
        raise ValueError(f"--filter {name}: unknown; choose one of {', '.join(FILTERS)}")
    known = list(inspect.signature(FILTERS[name]).parameters)[4:]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"--filter-args {' '.join(unknown)}: filter {name!r} has no such option; it has "
            f"{', '.join(known)}"
        )
    return functools.partial(FILTERS[name], **options)
