"""PLRC: contrast of points sampled from regions (Bai et al., CVPR 2022, arXiv 2202.04639)."""

import torch
import torch.nn.functional as F

from mmregioncon.registry import MODELS
from mmregioncon.structures import batch_points

from ..modules import build_queue, sample_points
from .base import RegionContrastModel


@MODELS.register_module()
class PLRC(RegionContrastModel):
    """MoCo v2 on images, and a contrast of the points of their regions.

    View 1 passes the online network; view 2, and view 1 too if affinities are distilled, the
    momentum one, with shuffle-BN. Regions and their points come with the data
    (:class:`SampleRegionPoints`).

    Args:
        projector: config of a :class:`DenseProjector` on the backbone's last map.
        queue: arguments of the :class:`MemoryQueue` of image keys.
        prototype_head: config of a :class:`PrototypeHead` on the same map, whose output then is
            part of the vectors of which affinities are distilled.
        kwargs: those of :class:`RegionContrastModel`; ``head`` is a :class:`PLRCHead`.

    Raises:
        ValueError: ``head.centre_channels`` is not the length of the vectors that are distilled,
            or there is a ``prototype_head`` but nothing is distilled.
    """

    def __init__(self, projector, queue=None, prototype_head=None, **kwargs):
        super().__init__(projector=projector, prototype_head=prototype_head, **kwargs)
        self.channels = [self.projector.out_channels]
        if prototype_head is not None:
            if not self.head.distils:
                raise ValueError(
                    "model.prototype_head has no use with model.head.affinity_weight=0: it would "
                    "get no gradient. Set it to None"
                )
            self.channels.append(self.prototype_head.out_channels)
        self.queue = build_queue(queue, self.channels[0])
        centre = self.head.centre
        if centre is not None and len(centre) != sum(self.channels):
            raise ValueError(
                f"model.head.centre_channels={len(centre)} must be {sum(self.channels)}: "
                "projector.out_channels, plus prototype_head.out_channels if there is one"
            )

    def backbone_inputs(self, views):
        """View 1 online; view 2, and view 1 if affinities are distilled, in the teacher."""
        return [views[0]], [views[1], views[0]] if self.head.distils else [views[1]]

    def loss(self, inputs, data_samples):
        """``loss_image``, ``loss_contrast`` and ``loss_affinity``.

        Args:
            inputs: two ``(B, 3, H, W)`` views.
            data_samples: list of B :class:`RegionDataSample` with points in both views.

        Raises:
            ValueError: ``head.level`` is "point" and the points of the views are not the same.
        """
        if self.head.level == "point" and not data_samples[0].get("matched_points"):
            raise ValueError(
                "model.head.level='point' needs the same points in both views: set "
                "SampleRegionPoints.matched=True in train_dataloader.dataset.pipeline"
            )
        regions = [batch_points(data_samples, i, view.device) for i, view in enumerate(inputs)]
        online_views, teacher_views = self.backbone_inputs(inputs)
        with torch.no_grad():
            self.update_teacher()
            key_map, *same_map = self.shuffled_keys(self._teacher_maps, *teacher_views)
        query_map = self.dense_map(self.online_modules(), online_views[0])
        query, key = (self.image_vector(one) for one in (query_map, key_map))
        negatives = self.queue.negatives()
        if self.training:
            self.queue.enqueue(key)
        return self.head(
            (query, key, negatives),
            *self._point_vectors(query_map, key_map, same_map, inputs, regions),
            [region.ids for region in regions],
        )

    def _teacher_maps(self, *views):
        return tuple(self.dense_map(self.teacher.module, view) for view in views)

    def _point_vectors(self, query_map, key_map, same_map, views, regions):
        """What is contrasted, ``(query, key)``, and distilled, ``(student, teacher, key)``."""
        here, there = (
            (region.points, (view.shape[3], view.shape[2])) for view, region in zip(views, regions)
        )
        query = self.point_parts(query_map, *here)
        key = self.point_parts(key_map, *there)
        if not same_map:
            return (query[0], key[0]), None
        teacher = self.point_parts(same_map[0], *here)
        # parts of unit length, so that the whole is of unit length again
        whole = [torch.cat(parts, dim=-1) / len(parts) ** 0.5 for parts in (query, teacher, key)]
        return (query[0], key[0]), whole

    def dense_map(self, modules, view):
        """Project every location of the backbone's last map.

        Args:
            modules: mapping with ``backbone``, ``projector`` and perhaps ``prototype_head``.
            view: ``(B, 3, H, W)``.

        Returns:
            torch.Tensor: ``(B, D, h, w)``; prototypes are further channels.
        """
        feat = modules["backbone"](view)[-1]
        projected = modules["projector"](feat)
        if "prototype_head" not in modules:
            return projected
        return torch.cat([projected, modules["prototype_head"](feat)], dim=1)

    def image_vector(self, dense_map):
        """L2-normalised mean ``(B, D)`` float32 of a projected map, without its prototypes."""
        return F.normalize(dense_map[:, : self.channels[0]].float().mean(dim=(2, 3)), dim=1)

    def point_parts(self, dense_map, points, size):
        """Vectors at points: projections, and prototypes if there are any.

        Args:
            dense_map: ``(B, D, h, w)`` of a view.
            points: ``(B, P, N, 2)`` xy in view pixels.
            size: ``(width, height)`` of the view.

        Returns:
            list[torch.Tensor]: ``(B, P, N, D)`` float32 each, L2-normalised.
        """
        vectors = sample_points(dense_map, points, size).split(self.channels, dim=-1)
        return [F.normalize(part, dim=-1) for part in vectors]
