"""SoCo: object-level contrast of proposals, aligned with detection (arXiv 2106.02637)."""

import torch

from mmregioncon.registry import MODELS
from mmregioncon.structures import batch_regions

from .base import RegionContrastModel


@MODELS.register_module()
class SoCo(RegionContrastModel):
    """BYOL on the RoI vectors of a detector's own modules.

    Online: backbone, neck, RoI head, projector, predictor. Teacher: all but the predictor. Every
    view passes each network by itself. Pairs of views come with the data
    (:class:`SelectPairRegions`), so 2, 3 or 4 views need no other model.

    Args:
        projector: config of the MLP after the RoI head (a mmpretrain neck: tuple in and out).
        predictor: config of the MLP after the projector.
        kwargs: those of :class:`RegionContrastModel`.
    """

    def __init__(self, projector, predictor, **kwargs):
        super().__init__(projector=projector, predictor=predictor, **kwargs)

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
        vectors = self.embed_regions(modules, modules["backbone"](view), rois)
        return modules["projector"]((vectors,))[0]

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
