"""What is done to the colours of a view: drawn by a worker, done by it or by the device."""

from typing import NamedTuple

import numpy as np

# Blue, green and red in a grey value.
GREY_WEIGHTS = (0.114, 0.587, 0.299)


class Colours(NamedTuple):
    """Changes of a view's colours, done in this order; the defaults change nothing.

    Attributes:
        order: permutation of brightness (0), contrast (1), saturation (2) and hue (3).
        brightness, contrast, saturation: factors.
        hue: shift in turns of the colour circle, -0.5 to 0.5.
        grey: whether the view becomes grey.
        sigma: standard deviation of the blur, in pixels.
        taps: width of the blur's kernel, or 0 for Pillow's (:func:`blur_kernel`).
        threshold: values from here on are inverted.
    """

    order: tuple = (0, 1, 2, 3)
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    grey: bool = False
    sigma: float = 0.0
    taps: int = 0
    threshold: float = 256.0


def blur_kernel(sigma, taps=0):
    """Pillow's Gaussian, three times a box whose outer two pixels count in part, or a sampled one.

    Pillow's has the variance ``sigma ** 2`` however small that is; samples of a Gaussian have not,
    least of all those of a wide one in a narrow kernel.

    Args:
        sigma: standard deviation in pixels, one number or ``(B,)``.
        taps: as many samples of a Gaussian, odd; 0 is Pillow's.

    Returns:
        np.ndarray: ``(..., L)`` float64 weights, L odd and as long as the largest sigma needs.
    """
    if taps:
        offset = np.arange(taps) - taps // 2
        samples = np.exp(-0.5 * (offset / np.asarray(sigma)[..., None]) ** 2)
        return samples / samples.sum(-1, keepdims=True)
    variance = np.asarray(sigma, dtype=np.float64)[..., None] ** 2 / 3
    whole = np.floor((np.sqrt(12 * variance + 1) - 1) / 2)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    part = part / (6 * (variance - (whole + 1) ** 2))
    radius = 3 * (int(whole.max()) + 1)
    offset = np.arange(-radius, radius + 1)
    box = (whole + 1 + part - np.abs(offset)).clip(0, 1)
    # Three times is to the power of three in Fourier's domain, where an even function is cosines
    cosines = np.cos(2 * np.pi / len(offset) * np.outer(offset, offset))
    spectrum = box @ cosines / box.sum(-1, keepdims=True)
    return spectrum**3 @ cosines / len(offset)
