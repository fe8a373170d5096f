"""Two crop windows drawn together, because a method asks something of both."""

from abc import abstractmethod

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.datasets.transforms import RandomResizedCrop

from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import box_areas, clip_boxes, map_boxes

from .common_regions import staying_boxes
from .views import crop_and_resize


def corners(windows):
    """Windows ``(x, y, w, h)`` as ``(V, 4)`` float64 xyxy."""
    windows = np.array(windows, dtype=np.float64)
    windows[:, 2:] += windows[:, :2]
    return windows


class DrawCropPair(BaseTransform):
    """Draw two windows of random resized crops until they are accepted together.

    Adds ``windows`` for :class:`RegionCrop`. If none of the tries is accepted, the last stands.

    Args:
        crop_ratio_range: area of a window relative to the image.
        aspect_ratio_range: width / height.
        max_tries: how often a pair is drawn at most.
    """

    def __init__(self, crop_ratio_range, aspect_ratio_range=(3 / 4, 4 / 3), max_tries=100):
        if max_tries < 1:
            raise ValueError(f"{type(self).__name__}.max_tries={max_tries} must be at least 1")
        self._draw = RandomResizedCrop(1, crop_ratio_range, aspect_ratio_range)
        self.max_tries = max_tries

    def transform(self, results):
        """Add ``windows``: two ``(x, y, w, h)`` in pixels of ``img``."""
        for _ in range(self.max_tries):
            results["windows"] = [self._window(results["img"]) for _ in range(2)]
            if self.accepts(results):
                break
        return results

    def _window(self, img):
        y, x, h, w = self._draw.rand_crop_params(img)
        return x, y, w, h

    @abstractmethod
    def accepts(self, results):
        """Whether ``results['windows']`` will do."""


@TRANSFORMS.register_module()
class DrawOverlappingCrops(DrawCropPair):
    """Two windows whose intersection is a good part of the larger one (PLRC, section 4).

    Args:
        min_overlap: least area of the intersection relative to the larger window.
        kwargs: those of :class:`DrawCropPair`.
    """

    def __init__(self, min_overlap=0.5, crop_ratio_range=(0.2, 1.0), **kwargs):
        super().__init__(crop_ratio_range, **kwargs)
        self.min_overlap = min_overlap

    def accepts(self, results):
        """Whether the windows overlap enough."""
        windows = corners(results["windows"])
        shared = box_areas(clip_boxes(windows[:1], windows[1]))[0]
        return shared >= self.min_overlap * box_areas(windows).max()


@TRANSFORMS.register_module()
class DrawRegionCrops(DrawCropPair):
    """Two windows in which at least one box of the image stays (:func:`staying_boxes`).

    Args:
        size: side of the views in pixels.
        min_visible: least part of a box's area inside each window.
        min_area: the visible part's area exceeds this, in pixels of each view.
        kwargs: those of :class:`DrawCropPair`.
    """

    def __init__(
        self,
        size,
        min_visible=0.6,
        min_area=144,
        crop_ratio_range=(0.1, 1.0),
        max_tries=10,
        **kwargs,
    ):
        super().__init__(crop_ratio_range, max_tries=max_tries, **kwargs)
        self.sizes = [(size, size)] * 2
        self.min_visible = min_visible
        self.min_area = min_area

    def accepts(self, results):
        """Whether a box stays."""
        windows = corners(results["windows"])
        boxes = map_boxes(results["boxes"], results.get("affine", np.eye(3)))
        return staying_boxes(boxes, windows, self.sizes, self.min_visible, self.min_area).any()


@TRANSFORMS.register_module()
class RegionCrop(BaseTransform):
    """Crop a window drawn before, resized to ``size``.

    Args:
        window: index into ``windows`` of :class:`DrawCropPair`.
        size: side of the view in pixels.
    """

    def __init__(self, window, size):
        self.window = window
        self.size = size

    def transform(self, results):
        """Renew ``img`` and ``affine``."""
        return crop_and_resize(results, results["windows"][self.window], (self.size, self.size))
