"""SoCo: object-level contrast of proposals, aligned with detection (arXiv 2106.02637)."""

import torch

from mmregioncon.registry import MODELS
from mmregioncon.structures import batch_regions

from ..modules import RegionFPN
from .base import RegionContrastModel


@MODELS.register_module()
class SoCo(RegionContrastModel):
    """BYOL on the RoI vectors of a detector's own modules.

    Online: backbone, neck, RoI head, projector, predictor. Teacher: all but the predictor. Every
    view passes each network by itself. Pairs of views come with the data
    (:class:`SelectPairRegions`), so 2, 3 or 4 views need no other model.

    Args:
        skip_unused_levels: do not compute a pyramid level of a view on which the batch has no
            region (needs a :class:`RegionFPN`). Losses and gradients stay the same; running
            statistics of that level's BatchNorm do not see the view.
        projector: config of the MLP after the RoI head (a mmpretrain neck: tuple in and out).
        predictor: config of the MLP after the projector.
        kwargs: those of :class:`RegionContrastModel`.
    """

    def __init__(self, projector, predictor, skip_unused_levels=False, **kwargs):
        super().__init__(projector=projector, predictor=predictor, **kwargs)
        if skip_unused_levels:
            self._check_levels_can_be_skipped()
        self.skip_unused_levels = skip_unused_levels

    def _check_levels_can_be_skipped(self):
        neck = getattr(self, "neck", None)
        if not isinstance(neck, RegionFPN) or self.roi_head.embed_all_levels:
            raise ValueError(
                "model.skip_unused_levels=True needs model.neck.type='RegionFPN' (here "
                f"{type(neck).__name__}) and model.roi_head.embed_all_levels=False"
            )

    def loss(self, inputs, data_samples):
        """Losses of all pairs, ``loss_pair{a}{b}``; the minimum of each is -4.

        Args:
            inputs: list of V ``(B, 3, H, W)`` views.
            data_samples: list of B :class:`RegionDataSample` with ``pairs`` as metainfo.
        """
        pairs = data_samples[0].pairs
        regions = [batch_regions(data_samples, i, view.device) for i, view in enumerate(inputs)]
        with torch.no_grad():
            self.update_teacher()
            keys = [
                self.project(self.teacher.module, view, region.rois)
                for view, region in zip(inputs, regions)
            ]
        online = self.online_modules()
        queries = [
            self.predictor((self.project(online, view, region.rois),))[0]
            for view, region in zip(inputs, regions)
        ]
        ids = [region.ids for region in regions]
        return self._pair_losses(pairs, len(data_samples), queries, keys, ids)

    def project(self, modules, view, rois):
        """Project the regions of one view.

        Args:
            modules: mapping with ``backbone``, ``roi_head``, ``projector`` and perhaps ``neck``.
            view: ``(B, 3, H, W)``.
            rois: ``(N, 5)``, image index and xyxy in view pixels.

        Returns:
            torch.Tensor: ``(N, D)``.
        """
        feats = modules["backbone"](view)
        if "neck" in modules:
            levels = {}
            if self.skip_unused_levels:
                levels["levels"] = modules["roi_head"].bbox_roi_extractor.used_levels(rois)
            feats = modules["neck"](feats, **levels)
        vectors = modules["projector"]((modules["roi_head"](feats, rois),))[0]
        return vectors + self._untouched(modules)

    @staticmethod
    def _untouched(modules):
        """Zero, with a graph to every neck parameter: DDP wants gradients for all of them, also
        for the levels on which this rank has no region."""
        if "neck" not in modules:
            return 0.0
        return 0.0 * sum(parameter.sum() for parameter in modules["neck"].parameters())

    def _pair_losses(self, pairs, batch_size, *per_view):
        losses = {}
        for p, (a, b) in enumerate(pairs):
            both = [
                tuple(slots_of_pair(values[view], pairs, p, view, batch_size) for view in (a, b))
                for values in per_view
            ]
            losses[f"loss_pair{a}{b}"] = self.head(*both)
        return losses


def slots_of_pair(values, pairs, pair, view, batch_size):
    """The slots of one pair in one view, which holds the slots of all its pairs, pair by pair.

    Args:
        values: ``(B * P * K, ...)`` of a view that belongs to P pairs.
        pairs: pairs of view indices.
        pair: index of the pair asked for.
        view: index of the view.
        batch_size: B.

    Returns:
        torch.Tensor: ``(B, K, ...)``.
    """
    members = [p for p, views in enumerate(pairs) if view in views]
    return values.unflatten(0, (batch_size, len(members), -1))[:, members.index(pair)]
