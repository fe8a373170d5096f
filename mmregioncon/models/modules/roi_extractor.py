"""RoI features with a box's pyramid level chosen by its size in the view."""

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

from mmregioncon.registry import MODELS


@MODELS.register_module()
class ScaleAwareRoIExtractor(SingleRoIExtractor):
    """mmdet's extractor with the level thresholds of SoCo and CCOP.

    A box goes to level ``i`` if sqrt(wh), in view pixels, exceeds the first ``i`` thresholds:
    by default <= 48 P2, <= 96 P3, <= 192 P4, else P5. RoIAlign runs in float32 also under AMP,
    where half-precision coordinates and image indices would be rounded.

    Args:
        scale_thresholds: ascending sizes in view pixels, one fewer than levels.
        fixed_level: level of all boxes, which turns the assignment by scale off.
    """

    def __init__(self, *args, scale_thresholds=(48, 96, 192), fixed_level=None, **kwargs):
        super().__init__(*args, **kwargs)
        if fixed_level is None and 1 < self.num_inputs != len(scale_thresholds) + 1:
            raise ValueError(
                f"bbox_roi_extractor: {self.num_inputs} featmap_strides need "
                f"{self.num_inputs - 1} scale_thresholds, not {tuple(scale_thresholds)}"
            )
        self.scale_thresholds = tuple(scale_thresholds)
        self.fixed_level = fixed_level

    def map_roi_levels(self, rois, num_levels):
        """Level ``(N,)`` int64 of ``(N, 5)`` rois (image index, xyxy in view pixels)."""
        if self.fixed_level is not None:
            return torch.full_like(rois[:, 0], self.fixed_level, dtype=torch.long)
        size = (rois[:, 3:] - rois[:, 1:3]).clamp(min=0).prod(dim=1).sqrt()
        return torch.bucketize(size, size.new_tensor(self.scale_thresholds))

    def used_levels(self, rois):
        """Indices of the levels that at least one of ``(N, 5)`` rois lies on, ascending."""
        return self.map_roi_levels(rois, self.num_inputs).unique().tolist()

    def forward(self, feats, rois, roi_scale_factor=None):
        """Features ``(N, C, h, w)`` float32 of ``(N, 5)`` rois on their own levels.

        A level without rois is not touched, so its output convolution needs no backward pass
        (with mmdet's extractor it gets one, of zeros); ``None`` may stand for such a level.
        """
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        with torch.autocast(rois.device.type, enabled=False):
            if self.num_inputs == 1:
                return self.pool(0, feats[0], rois)
            levels = self.map_roi_levels(rois, self.num_inputs)
            members = [(levels == level).nonzero()[:, 0] for level in range(self.num_inputs)]
            pooled = [
                self.pool(level, feats[level], rois[member])
                for level, member in enumerate(members)
                if len(member)
            ]
            return torch.cat(pooled)[torch.cat(members).argsort()]

    def pool(self, level, feat, rois):
        """Features ``(N, C, h, w)`` float32 of rois, from the map ``(B, C, H, W)`` of one level.

        mmcv's RoIAlign reads memory as if it were contiguous, whatever the strides say: a
        channels-last map would give it the values of other places and channels.
        """
        return self.roi_layers[level](feat.float().contiguous(), rois)
