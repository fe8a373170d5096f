"""mmpretrain's and mmcv's changes of colours, several times as fast, or left to the device.

Arguments, draws and results are theirs (the same random numbers give the same view within
rounding); only the arithmetic is OpenCV's on uint8. In a view that brings ``colours``
(:class:`Colours`) nothing is done: what was drawn is noted there, for
:class:`RegionDataPreprocessor` to do a batch at a time.
"""

from abc import abstractmethod

import cv2
import mmcv.transforms
import mmpretrain.datasets.transforms as mmpretrain
import numpy as np
from mmcv.transforms import BaseTransform

from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import blur_kernel

VALUES = np.arange(256, dtype=np.float64)


class ColourTransform(BaseTransform):
    """Draw a change of colours; do it, or note it in ``colours``."""

    def transform(self, results):
        """Renew ``img``, or ``colours`` where there are any."""
        drawn = self.draw()
        if "colours" in results:
            results["colours"] = results["colours"]._replace(**drawn)
        elif drawn:
            results["img"] = self.paint(results["img"], **drawn)
        return results

    @abstractmethod
    def draw(self):
        """Fields of :class:`Colours` to change; none if the coin says so."""

    @abstractmethod
    def paint(self, img, **drawn):
        """The change of an ``(H, W, 3)`` uint8 BGR image; may not write to it."""


@TRANSFORMS.register_module()
class RegionColorJitter(ColourTransform, mmpretrain.ColorJitter):
    """mmpretrain's ``ColorJitter`` with ``backend="cv2"``, with probability ``prob``."""

    def __init__(self, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, prob=1.0):
        super().__init__(brightness, contrast, saturation, hue, backend="cv2")
        self.prob = prob

    def draw(self):
        """Factors and their order."""
        if np.random.rand() >= self.prob:
            return {}
        order, *factors = self._rand_params()
        names = ("brightness", "contrast", "saturation", "hue")
        drawn = {name: factor for name, factor in zip(names, factors) if factor is not None}
        return dict(drawn, order=tuple(order.tolist()))

    def paint(self, img, order, **factors):
        """One change after the other."""
        steps = (
            ("brightness", _brightness),
            ("contrast", _contrast),
            ("saturation", _saturation),
            ("hue", _hue),
        )
        for name, change in (steps[index] for index in order):
            if name in factors:
                img = change(img, factors[name])
        return img


def _blend(img, value, factor):
    table = (VALUES * factor + value * (1 - factor)).clip(0, 255)
    return cv2.LUT(img, table.astype(np.float32).astype(np.uint8))  # rounded as mmcv's, cut off


def _brightness(img, factor):
    return _blend(img, 0, factor)


def _contrast(img, factor):
    return _blend(img, round(cv2.mean(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY))[0]), factor)


def _saturation(img, factor):
    grey = cv2.cvtColor(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(img, factor, grey, 1 - factor, 0)


def _hue(img, turns):
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV_FULL)
    hsv[..., 0] += np.uint8(int(turns * 255) % 256)  # uint8 wraps around the circle
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)


@TRANSFORMS.register_module()
class RegionRandomGrayscale(ColourTransform, mmcv.transforms.RandomGrayscale):
    """mmcv's ``RandomGrayscale`` that keeps three channels."""

    def __init__(self, prob=0.1):
        super().__init__(prob, keep_channels=True)

    def draw(self):
        """Whether the view becomes grey."""
        return dict(grey=True) if self._random_prob() < self.prob else {}

    def paint(self, img, grey):
        """The grey value in each channel."""
        return cv2.cvtColor(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


@TRANSFORMS.register_module()
class RegionGaussianBlur(ColourTransform, mmpretrain.GaussianBlur):
    """mmpretrain's ``GaussianBlur``, which is Pillow's, or one whose kernel has a width of its own.

    Args:
        kernel_size: width of the kernel in pixels, odd; ``None`` is Pillow's.
        kwargs: those of mmpretrain's.
    """

    def __init__(self, *args, kernel_size=None, **kwargs):
        super().__init__(*args, **kwargs)
        if kernel_size is not None and (kernel_size < 1 or kernel_size % 2 == 0):
            raise ValueError(f"RegionGaussianBlur.kernel_size={kernel_size} must be odd")
        self.kernel_size = kernel_size

    def draw(self):
        """A standard deviation."""
        if self.random_disable():
            return {}
        sigma = self.random_magnitude() if self.radius is None else self.radius
        return dict(sigma=sigma, taps=self.kernel_size or 0)

    def paint(self, img, sigma, taps):
        """Filter rows and columns."""
        # OpenCV calculates with 8 bits of a weight: let those sum to one
        kernel = np.rint(256 * blur_kernel(sigma, taps))
        kernel[len(kernel) // 2] += 256 - kernel.sum()
        kernel = (kernel / 256).astype(np.float32)
        return cv2.sepFilter2D(img, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)


@TRANSFORMS.register_module()
class RegionSolarize(ColourTransform, mmpretrain.Solarize):
    """mmpretrain's ``Solarize``."""

    def draw(self):
        """A threshold."""
        if self.random_disable():
            return {}
        return dict(threshold=self.random_magnitude() if self.thr is None else self.thr)

    def paint(self, img, threshold):
        """Invert the values from the threshold on."""
        table = np.where(threshold > VALUES, VALUES, 255 - VALUES).astype(np.uint8)
        return cv2.LUT(img, table)


# in which the device does them
ORDER = (RegionColorJitter, RegionRandomGrayscale, RegionGaussianBlur, RegionSolarize)
