"""A C4 detector's shared head that does on the map what need not be done on every RoI."""

import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign
from mmdet.models.backbones.resnet import Bottleneck
from mmdet.models.roi_heads.shared_heads import ResLayer

from mmregioncon.registry import MODELS


def axis_weights(start, end, bins, length):
    """What RoIAlign averages along one axis: it is linear, and separable into rows and columns.

    Args:
        start: ``(N,)`` float32, edges of the RoIs in map coordinates (cell centres are integers).
        end: ``(N,)`` float32.
        bins: cells of a RoI along this axis.
        length: cells of the map along this axis.

    Returns:
        torch.Tensor: ``(N, bins, length)`` float32; mmcv's ``aligned=True``, ``sampling_ratio=0``.
    """
    cell = (end - start) / bins
    counts = cell.ceil().clamp(min=1)
    samples = torch.arange(int(counts.max()) if len(counts) else 1, device=start.device)
    inside = (samples + 0.5) / counts[:, None]  # of a cell, 0 to 1
    steps = torch.arange(bins, device=start.device)[:, None] + inside[:, None]
    at = start[:, None, None] + steps * cell[:, None, None]
    counted = ((inside < 1) & (cell > 0)[:, None])[:, None] & (at >= -1) & (at <= length)
    distance = (at.clamp(0, length - 1)[..., None] - torch.arange(length, device=at.device)).abs()
    hats = (1 - distance).clamp(min=0) * counted[..., None]
    return hats.sum(dim=2) / counts[:, None, None]


def _is_plain(layer):
    height, width = layer.output_size
    return (
        height == width and layer.aligned and layer.sampling_ratio == 0 and layer.pool_mode == "avg"
    )


@MODELS.register_module()
class RegionResLayer(ResLayer):
    """mmdet's :class:`ResLayer`, key names and all, for several RoIs an image.

    The first 1x1 convolution is done once a map, since it commutes with RoIAlign, the strided
    shortcut pools only the cells that it reads, and RoIAlign is two matrix products. The maths is
    the same to rounding; where a cell is a whole number of map pixels wide, that rounding may
    change RoIAlign's number of samples.

    Raises:
        ValueError: the first block is not a bottleneck whose 3x3 convolution has the stride 2
            (``style='pytorch'``).
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        first = self._blocks[0]
        if not isinstance(first, Bottleneck) or first.conv2_stride != 2 or first.with_plugins:
            raise ValueError(
                "RegionResLayer needs bottlenecks (depth >= 50), stride=2 and style='pytorch': "
                "take mmdet.ResLayer as model.roi_head.shared_head"
            )

    @staticmethod
    def check_extractor(extractor):
        """Raise ValueError unless the RoI extractor does what :meth:`forward_rois` does instead."""
        layers = extractor.roi_layers
        if not (len(layers) == 1 and isinstance(layers[0], RoIAlign) and _is_plain(layers[0])):
            raise ValueError(
                "RegionResLayer needs model.roi_head.bbox_roi_extractor with one level and "
                "roi_layer=dict(type='RoIAlign', output_size=N, sampling_ratio=0), aligned and "
                "averaged: take mmdet.ResLayer as model.roi_head.shared_head for another"
            )

    @property
    def _blocks(self):
        return getattr(self, f"layer{self.stage + 1}")

    def forward_rois(self, feat, rois, extractor):
        """Feature maps ``(N, C, 7, 7)`` of RoIs on the map ``(B, C', H, W)`` of a view.

        Args:
            feat: the map.
            rois: ``(N, 5)`` image index and xyxy in view pixels.
            extractor: a :class:`ScaleAwareRoIExtractor` of one level.
        """
        first, *rest = self._blocks
        height, width = feat.shape[2:]
        (layer,) = extractor.roi_layers
        bins = layer.output_size[0]
        edges = rois[:, 1:] * layer.spatial_scale - 0.5
        rows = axis_weights(edges[:, 1], edges[:, 3], bins, height)
        columns = axis_weights(edges[:, 0], edges[:, 2], bins, width)
        images = rois[:, 0].long()

        out = pool(first.conv1(feat), images, rows, columns)
        out = first.conv2(first.relu(first.norm1(out)))
        out = first.norm3(first.conv3(first.relu(first.norm2(out))))
        conv, norm = first.downsample
        every_second = pool(feat, images, rows[:, ::2], columns[:, ::2])
        out = first.relu(out + norm(F.conv2d(every_second, conv.weight)))
        for block in rest:
            out = block(out)
        return out


def pool(feat, images, rows, columns):
    """RoI features by the weights of their rows and columns.

    Args:
        feat: ``(B, C, H, W)``.
        images: ``(N,)`` int64 index of each RoI's image.
        rows: ``(N, h, H)`` float32.
        columns: ``(N, w, W)`` float32.

    Returns:
        torch.Tensor: ``(N, C, h, w)`` of ``feat``'s dtype, channels-last in memory.
    """
    with torch.autocast(feat.device.type, enabled=False):
        maps = feat.float().permute(0, 2, 3, 1)[images]
        pooled = (rows @ maps.flatten(2)).unflatten(2, maps.shape[2:])
        return (columns[:, None] @ pooled).permute(0, 3, 1, 2).to(feat.dtype)
