"""The regions that two views have in common, as CCOP chooses them (arXiv 2111.13651)."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import box_areas, clip_boxes, map_boxes, view_window


def staying_boxes(boxes, windows, sizes, min_visible, min_area):
    """Which boxes show well enough in all of some views.

    Args:
        boxes: ``(K, 4)`` float32 xyxy in original-image pixels.
        windows: ``(4,)`` xyxy each, what a view shows of the original image.
        sizes: ``(width, height)`` of each view in pixels.
        min_visible: least part of a box's area inside each window.
        min_area: the visible part's area exceeds this, in pixels of each view.

    Returns:
        np.ndarray: ``(K,)`` bool.
    """
    stay = np.ones(len(boxes), dtype=bool)
    boxes = boxes.astype(np.float64)  # 60 % must not be lost to rounding
    areas = box_areas(boxes)
    for window, size in zip(windows, sizes):
        shown = box_areas(clip_boxes(boxes, window))
        zoom = size[0] * size[1] / np.prod(window[2:] - window[:2])
        stay &= (shown >= min_visible * areas) & (shown * zoom > min_area)
    return stay


@TRANSFORMS.register_module()
class CommonRegions(BaseTransform):
    """Give two views the boxes that show well enough in both, in the same order.

    Adds ``boxes`` (clipped to the view) and ``ids`` to each view; an image may have none.

    Args:
        min_visible: least part of a box's area inside each view.
        min_area: the visible part's area exceeds this, in pixels of each view.
        max_regions: of more boxes, so many are drawn.
        swap_prob: probability that the two views change places.
    """

    needs_boxes = True  # a data set without any is refused when it is built

    def __init__(self, min_visible=0.6, min_area=144, max_regions=100, swap_prob=0.5):
        if max_regions < 1:
            raise ValueError(f"CommonRegions.max_regions={max_regions} must be at least 1")
        self.min_visible = min_visible
        self.min_area = min_area
        self.max_regions = max_regions
        self.swap_prob = swap_prob

    def transform(self, results):
        """Add regions to ``results['views']``."""
        views = results["views"]
        if len(views) != 2:
            raise ValueError(
                f"CommonRegions needs the two views that RegionMultiView.pipelines makes, not "
                f"{len(views)}"
            )
        sizes = [view["img_shape"][::-1] for view in views]
        windows = [view_window(view["affine"], size) for view, size in zip(views, sizes)]
        boxes = results["boxes"]
        stay = staying_boxes(boxes, windows, sizes, self.min_visible, self.min_area)
        chosen = np.flatnonzero(stay)
        if len(chosen) > self.max_regions:
            chosen = np.random.permutation(chosen)[: self.max_regions]
        for view, size in zip(views, sizes):
            view["boxes"] = clip_boxes(map_boxes(boxes[chosen], view["affine"]), (0, 0, *size))
            view["ids"] = results["region_ids"][chosen]
        if np.random.rand() < self.swap_prob:
            views.reverse()
        return results
