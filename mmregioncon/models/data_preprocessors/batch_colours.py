"""Changes of colours and cutouts of a batch of views, each image with numbers of its own.

Images are ``(B, 3, H, W)`` float32 BGR from 0 to 255. The numbers come from the CPU, so nothing is
read back from the device.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from mmregioncon.structures import Colours, blur_kernel
from mmregioncon.structures.colours import GREY_WEIGHTS


def change_colours(images, colours):
    """Do what the transforms of ``mmregioncon.datasets.transforms.colours`` do, within rounding.

    Args:
        images: ``(B, 3, H, W)`` float32 BGR, 0 to 255; not changed.
        colours: B :class:`Colours`.

    Returns:
        torch.Tensor: like ``images``, not rounded.
    """
    each = Colours(*map(np.array, zip(*colours)))
    turns = np.trunc(255 * each.hue) / 256  # OpenCV's circle has 256 steps
    jitter = (
        (brightness, each.brightness, each.brightness != 1),
        (contrast, each.contrast, each.contrast != 1),
        (saturation, each.saturation, each.saturation != 1),
        (hue, turns, turns != 0),
    )
    images = images.clone()
    for turn in each.order.T:
        for step, (change, numbers, drawn) in enumerate(jitter):
            _change(images, change, numbers, drawn & (turn == step))
    _change(images, saturation, np.zeros(len(images)), each.grey)
    for taps in np.unique(each.taps):
        kernel = partial(blur, taps=taps)
        _change(images, kernel, each.sigma, (each.sigma > 0) & (each.taps == taps))
    _change(images, solarise, each.threshold, each.threshold < 256)
    return images


def _change(images, change, numbers, chosen):
    """Change the chosen images in place."""
    rows = np.flatnonzero(chosen)
    if len(rows):
        index = torch.from_numpy(rows).to(images.device, non_blocking=True)
        images[index] = change(images[index], numbers[rows])


def _column(numbers, images):
    """One number an image, ``(B, 1, 1, 1)``."""
    column = torch.from_numpy(numbers).to(images.device, images.dtype, non_blocking=True)
    return column[:, None, None, None]


def _constant(values, images):
    """One number a channel, ``(3, 1, 1)``."""
    values = torch.tensor(values, dtype=images.dtype)
    return values.to(images.device, non_blocking=True)[:, None, None]


def grey(images):
    """Grey values ``(B, 1, H, W)``."""
    return (images * _constant(GREY_WEIGHTS, images)).sum(1, keepdim=True)


def brightness(images, factors):
    """Mix with black."""
    return (images * _column(factors, images)).clamp_(0, 255)


def contrast(images, factors):
    """Mix with the mean grey value."""
    mean = grey(images).mean((2, 3), keepdim=True).round()
    return torch.lerp(mean, images, _column(factors, images)).clamp_(0, 255)


def saturation(images, factors):
    """Mix with the grey image."""
    return torch.lerp(grey(images), images, _column(factors, images)).clamp_(0, 255)


def hue(images, turns):
    """Turn the colour circle (of HSV)."""
    blue, green, red = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    sixth = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma),
    ) / chroma.clamp(min=1e-6)
    sixth = sixth[:, None] + 6 * _column(turns, images)
    distance = (sixth + _constant([1, 3, 5], images)) % 6
    part = torch.minimum(distance, 4 - distance).clamp_(0, 1)
    return value[:, None] - chroma[:, None] * part


def blur(images, sigmas, taps):
    """Filter rows and columns with :func:`blur_kernel`."""
    kernels = torch.from_numpy(blur_kernel(sigmas, taps))
    kernels = kernels.to(images.device, images.dtype, non_blocking=True)
    kernels = kernels.repeat_interleave(3, 0)[:, None]
    channels, radius = len(kernels), kernels.shape[-1] // 2
    padded = F.pad(images, [radius] * 4, mode="replicate")
    blurred = padded.reshape(1, channels, *padded.shape[2:])
    blurred = F.conv2d(blurred, kernels[..., None, :], groups=channels)
    return F.conv2d(blurred, kernels[..., None], groups=channels).view_as(images)


def solarise(images, thresholds):
    """Invert the values from the threshold on."""
    images = images.round()
    return torch.where(images < _column(thresholds, images), images, 255 - images)


def paint_cutouts(images, cutouts, fill):
    """Paint squares.

    Args:
        images: ``(B, 3, H, W)``; not changed.
        cutouts: B arrays ``(K, 4)`` xyxy in pixels, whole numbers; K may differ.
        fill: BGR colour.
    """
    squares = pad_sequence([torch.from_numpy(one) for one in cutouts], batch_first=True)
    x1, y1, x2, y2 = squares.to(images.device, images.dtype, non_blocking=True)[..., None].unbind(2)
    columns, rows = (
        torch.arange(side, device=images.device, dtype=images.dtype)
        for side in (images.shape[3], images.shape[2])
    )
    across = ((columns >= x1) & (columns < x2)).to(images.dtype)
    down = ((rows >= y1) & (rows < y2)).to(images.dtype)
    painted = torch.einsum("bky,bkx->byx", down, across) > 0
    return torch.where(painted[:, None], _constant(fill, images), images)
