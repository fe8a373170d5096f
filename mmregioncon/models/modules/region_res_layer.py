"""A C4 detector's shared head that does on the map what need not be done on every RoI."""

import torch
import torch.nn.functional as F
from mmcv.ops import roi_align
from mmdet.models.backbones.resnet import Bottleneck
from mmdet.models.roi_heads.shared_heads import ResLayer

from mmregioncon.registry import MODELS


def every_second_cell(rois, size):
    """The cells of each RoI's ``size x size`` grid that a stride of 2 reads, as RoIs of their own.

    Args:
        rois: ``(N, 5)`` image index and xyxy in view pixels.
        size: cells a side, even.

    Returns:
        torch.Tensor: ``(N * (size / 2)^2, 5)``, row by row.
    """
    cell = (rois[:, None, None, 3:] - rois[:, None, None, 1:3]) / size
    steps = torch.arange(0, size, 2, device=rois.device, dtype=rois.dtype)
    column_row = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
    low = rois[:, None, None, 1:3] + column_row * cell
    image = rois[:, None, None, :1].expand(*low.shape[:3], 1)
    return torch.cat([image, low, low + cell], dim=-1).view(-1, 5)


@MODELS.register_module()
class RegionResLayer(ResLayer):
    """mmdet's :class:`ResLayer`, key names and all, for several RoIs an image.

    The first 1x1 convolution is done once a map, since it commutes with RoIAlign, and the strided
    shortcut pools only the cells that it reads. The maths is the same to rounding; where a cell is
    a whole number of map pixels wide, that rounding may change RoIAlign's number of samples.

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
        out = extractor.pool(0, first.conv1(feat), rois).to(feat.dtype)
        out = first.conv2(first.relu(first.norm1(out)))
        out = first.norm3(first.conv3(first.relu(first.norm2(out))))
        conv, norm = first.downsample
        out = first.relu(out + norm(F.conv2d(self._shortcut(feat, rois, extractor), conv.weight)))
        for block in rest:
            out = block(out)
        return out

    @staticmethod
    def _shortcut(feat, rois, extractor):
        align = extractor.roi_layers[0]
        size = align.output_size[0]
        with torch.autocast(feat.device.type, enabled=False):
            pooled = roi_align(
                feat.float().contiguous(),
                every_second_cell(rois, size),
                1,
                align.spatial_scale,
                align.sampling_ratio,
                align.pool_mode,
                align.aligned,
            )
        pooled = pooled.view(len(rois), size // 2, size // 2, feat.shape[1])
        return pooled.permute(0, 3, 1, 2).to(feat.dtype)
