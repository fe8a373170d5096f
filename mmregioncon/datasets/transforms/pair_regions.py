"""Which regions two views are compared on, as SoCo chooses them (section 3.2)."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import (
    clip_boxes,
    jitter_boxes,
    map_boxes,
    view_window,
    visible_boxes,
)


def common_window(windows):
    """Intersection ``(4,)`` xyxy of two windows of the same frame, or ``None``."""
    low = np.maximum(windows[0][:2], windows[1][:2])
    high = np.minimum(windows[0][2:], windows[1][2:])
    return np.concatenate([low, high]) if (high > low).all() else None


def choose_common(boxes, windows, num, min_side=0.0):
    """Draw boxes that show in both windows, without replacement, then repeat some to fill up.

    Args:
        boxes: ``(K, 4)`` xyxy in original-image pixels.
        windows: two ``(4,)`` xyxy, what the views show of the original image.
        num: how many to return.
        min_side: both visible sides must exceed this, in original pixels.

    Returns:
        np.ndarray: ``(num,)`` indices into ``boxes``; ``(0,)`` if none shows in both.
    """
    shown = [visible_boxes(boxes, window, min_side) for window in windows]
    common = np.flatnonzero(shown[0] & shown[1])
    if len(common) == 0:
        return common
    chosen = np.random.permutation(common)[:num]
    again = np.random.randint(len(chosen), size=num - len(chosen))
    return np.concatenate([chosen, chosen[again]])


def jitter_some(boxes, window, prob, amount):
    """Jitter each box with probability ``prob``; one that would leave the window stays put.

    Args:
        boxes: ``(K, 4)`` xyxy in original-image pixels.
        window: ``(4,)`` xyxy, same frame.
        prob: probability a box.
        amount: largest change of x, y, w and h relative to the box's size.
    """
    draws = np.random.uniform(-amount, amount, boxes.shape)
    draws *= np.random.rand(len(boxes), 1) < prob
    moved = jitter_boxes(boxes, draws)
    return np.where(visible_boxes(moved, window, 1.0)[:, None], moved, boxes)


@TRANSFORMS.register_module()
class SelectPairRegions(BaseTransform):
    """Choose the regions of each pair of views and map them into both views.

    Adds ``boxes`` and ``ids`` to each view: the slots of all the pairs it belongs to, pair after
    pair, ``num_regions`` a pair. If no box shows in both views, their common window stands in
    (id: the number of boxes); if there is none either, the slots are empty (id -1, the whole
    view as box).

    Args:
        pairs: pairs of view indices that are contrasted.
        num_regions: K, boxes a pair.
        jitter_views: views whose boxes are jittered.
        jitter_prob: probability a box.
        jitter: largest change of x, y, w and h relative to the box's size.
    """

    needs_boxes = True  # a data set without any is refused when it is built

    def __init__(self, pairs, num_regions=4, jitter_views=(0,), jitter_prob=0.5, jitter=0.1):
        if num_regions < 1:
            raise ValueError(f"SelectPairRegions.num_regions={num_regions} must be at least 1")
        self.pairs = [tuple(pair) for pair in pairs]
        self.num_regions = num_regions
        self.jitter_views = tuple(jitter_views)
        self.jitter_prob = jitter_prob
        self.jitter = jitter

    def transform(self, results):
        """Add regions to ``results['views']`` and ``pairs`` to ``results``."""
        views = results["views"]
        if {index for pair in self.pairs for index in pair} != set(range(len(views))):
            raise ValueError(
                f"SelectPairRegions.pairs={self.pairs} must use each of the {len(views)} views "
                "that RegionMultiView.pipelines makes, and no other"
            )
        windows = [view_window(view["affine"], view["img_shape"][::-1]) for view in views]
        slots = [[] for _ in views]
        for pair in self.pairs:
            boxes, ids = self._choose(results, [windows[index] for index in pair])
            for index in pair:
                slots[index].append((self._place(boxes, index, windows[index], views[index]), ids))
        for view, pair_slots in zip(views, slots):
            view["boxes"] = np.concatenate([boxes for boxes, _ in pair_slots])
            view["ids"] = np.concatenate([ids for _, ids in pair_slots])
        results["pairs"] = self.pairs
        return results

    def _choose(self, results, windows):
        chosen = choose_common(results["boxes"], windows, self.num_regions)
        if len(chosen):
            return results["boxes"][chosen], results["region_ids"][chosen]
        window = common_window(windows)
        region_id = -1 if window is None else len(results["boxes"])
        if window is None:
            window = [0, 0, results["width"], results["height"]]
        boxes = np.tile(np.asarray(window, dtype=np.float32), (self.num_regions, 1))
        return boxes, np.full(self.num_regions, region_id)

    def _place(self, boxes, index, window, view):
        """Original boxes -> boxes of the view, jittered if it is a jittered view, clipped."""
        if index in self.jitter_views:
            boxes = jitter_some(boxes, window, self.jitter_prob, self.jitter)
        h, w = view["img_shape"]
        return clip_boxes(map_boxes(boxes, view["affine"]), (0, 0, w, h))


@TRANSFORMS.register_module()
class RegionCutout(BaseTransform):
    """Paint a square somewhere in some of the boxes of some views.

    Views with ``colours`` are painted after these, on the device: they get ``cutouts`` ``(K, 4)``
    float32 xyxy, a square for each box, empty for most.

    Args:
        views: indices of the views that are painted.
        prob: probability a box.
        area: range of the square's area relative to its box's.
        fill: BGR colour; the default is ImageNet's mean, zero after normalisation.
    """

    def __init__(self, views, prob=0.5, area=(0.1, 0.3), fill=(104, 116, 124)):
        self.views = tuple(views)
        self.prob = prob
        self.area = tuple(area)
        self.fill = fill

    def transform(self, results):
        """Paint on ``results['views'][i]['img']`` for the views chosen."""
        for index in self.views:
            view = results["views"][index]
            _, first = np.unique(view["ids"], return_index=True)
            chosen = first[np.random.rand(len(first)) < self.prob]
            squares = self._squares(view["boxes"][chosen])
            if "colours" in view:
                view["cutouts"] = np.zeros((len(view["ids"]), 4), np.float32)
                view["cutouts"][chosen] = squares
                results["cutout_fill"] = self.fill
            elif len(squares):
                view["img"] = view["img"].copy()
                for x1, y1, x2, y2 in squares:
                    view["img"][y1:y2, x1:x2] = self.fill
        return results

    def _squares(self, boxes):
        """A square in each box, ``(K, 4)`` integers xyxy."""
        size = boxes[:, 2:] - boxes[:, :2]
        area = np.random.uniform(*self.area, len(boxes)) * size.prod(axis=1)
        side = np.minimum(np.sqrt(area)[:, None], size)
        corner = boxes[:, :2] + np.random.rand(len(boxes), 2) * (size - side)
        return np.rint(np.concatenate([corner, corner + side], 1)).astype(int)
