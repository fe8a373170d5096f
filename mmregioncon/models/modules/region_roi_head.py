"""Regions -> vectors, by the modules of a detector's RoI head."""

import torch
from mmengine.model import BaseModule

from mmregioncon.registry import MODELS

from .region_res_layer import RegionResLayer


@MODELS.register_module()
class RegionRoIHead(BaseModule):
    """RoI extractor and the trunk of a detector's RoI head, named as the detector names them.

    With an FPN the trunk is ``bbox_head`` (convolutions and layers shared by classifier and
    regressor); in a C4 detector it is ``shared_head`` (res5), averaged over the RoI. Without
    either, the vector is the flattened RoI feature.

    Args:
        bbox_roi_extractor: config of the extractor.
        bbox_head: config of a :class:`BBoxHeadTrunk`.
        shared_head: config of ``mmdet.ResLayer``, or of the faster :class:`RegionResLayer`.
        embed_all_levels: embed each box on every level and keep its own level's vector. The
            vectors of one batch differ only through BatchNorm's statistics (the SoCo release
            does this), and the head works once per level.
    """

    def __init__(
        self,
        bbox_roi_extractor,
        bbox_head=None,
        shared_head=None,
        embed_all_levels=False,
        init_cfg=None,
    ):
        super().__init__(init_cfg)
        if bbox_head is not None and shared_head is not None:
            raise ValueError("model.roi_head takes one of bbox_head (FPN) and shared_head (C4)")
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        if bbox_head is not None:
            self.bbox_head = MODELS.build(bbox_head)
        if shared_head is not None:
            self.shared_head = MODELS.build(shared_head)
            if isinstance(self.shared_head, RegionResLayer):
                self.shared_head.check_extractor(self.bbox_roi_extractor)
        self.embed_all_levels = embed_all_levels

    def forward(self, feats, rois):
        """Embed regions.

        Args:
            feats: tuple of ``(B, C, H, W)`` feature maps, finest first.
            rois: ``(N, 5)`` float32, image index and xyxy in view pixels.

        Returns:
            torch.Tensor: ``(N, D)``.
        """
        if isinstance(getattr(self, "shared_head", None), RegionResLayer):
            return self.shared_head.forward_rois(feats[0], rois, self.bbox_roi_extractor).mean(
                dim=(2, 3)
            )
        if not self.embed_all_levels:
            return self._embed(self.bbox_roi_extractor(feats, rois))
        extractor = self.bbox_roi_extractor
        levels = extractor.map_roi_levels(rois, extractor.num_inputs)
        maps = [extractor.pool(level, feat, rois) for level, feat in enumerate(feats)]
        embedded = self._embed(torch.cat(maps)).view(len(maps), len(rois), -1)
        return embedded[levels, torch.arange(len(rois), device=rois.device)]

    def _embed(self, roi_feats):
        if hasattr(self, "bbox_head"):
            return self.bbox_head(roi_feats)
        if hasattr(self, "shared_head"):
            return self.shared_head(roi_feats).mean(dim=(2, 3))
        return roi_feats.flatten(1)
