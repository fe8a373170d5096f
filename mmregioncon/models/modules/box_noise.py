"""Noise on boxes that grows with training (CCOP, arXiv 2111.13651): pure functions."""

from typing import NamedTuple

import torch
from mmdet.structures.bbox import bbox_overlaps


class BoxNoise(NamedTuple):
    """How far a jittered box may be from its original.

    Attributes:
        offset: range of the centre's shift, relative to the box's width and height.
        scale: range of the change of log width and log height.
        min_iou: least IoU of a jittered box with its original.
    """

    offset: float
    scale: float
    min_iou: float


def noise_at(progress, start, end):
    """The :class:`BoxNoise` at ``progress`` in [0, 1], linear between two of them."""
    return BoxNoise(*(a + (b - a) * progress for a, b in zip(start, end)))


def jittered_boxes(boxes, draws, noise, size):
    """Shift and scale boxes, and clip them to the view.

    Args:
        boxes: ``(K, 4)`` float32 xyxy in view pixels.
        draws: ``(K, J, 4)`` uniform in [0, 1): for the centre's x and y, for width and height.
        noise: a :class:`BoxNoise`.
        size: ``(width, height)`` of the view.

    Returns:
        torch.Tensor: ``(K, J, 4)`` xyxy.
    """
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    shift, stretch = (draws - 0.5).split(2, dim=-1)
    centre = (low + high) / 2 + noise.offset * shift * (high - low)
    half = (high - low) / 2 * (noise.scale * stretch).exp()
    corners = torch.cat([centre - half, centre + half], dim=-1)
    return corners.clamp(min=0).minimum(corners.new_tensor([*size, *size]))


def candidate_boxes(boxes, draws, noise, size):
    """Jittered boxes and, last, the box itself; and which of them are near enough to it.

    Args:
        boxes: ``(K, 4)`` float32 xyxy in view pixels.
        draws: ``(K, J, 4)`` uniform in [0, 1); J may be 0.
        noise: a :class:`BoxNoise`.
        size: ``(width, height)`` of the view.

    Returns:
        tuple: ``(K, J + 1, 4)`` xyxy and ``(K, J + 1)`` bool, whose last column is true.
    """
    jittered = jittered_boxes(boxes, draws, noise, size)
    iou = bbox_overlaps(boxes[:, None], jittered)[:, 0]
    itself = torch.ones_like(boxes[:, :1], dtype=torch.bool)
    near = torch.cat([iou >= noise.min_iou, itself], dim=1)
    return torch.cat([jittered, boxes[:, None]], dim=1), near
