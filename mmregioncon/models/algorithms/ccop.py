"""CCOP: object-level contrast with a spatial noise curriculum (arXiv 2111.13651)."""

import torch
import torch.nn.functional as F

from mmregioncon.registry import MODELS
from mmregioncon.structures import batch_regions

from ..modules import BatchShuffle, BoxNoise, build_queue, candidate_boxes
from .base import RegionContrastModel

POSITIVES = ("hardest", "random")


@MODELS.register_module()
class CCOP(RegionContrastModel):
    """MoCo on whole images and on regions, whose key boxes are jittered.

    The first view is the query, the second the key, with the same regions in both. A region's
    positive is one of its jittered key boxes, or its own. What :attr:`noise` allows grows with
    training if a :class:`SpatialNoiseCurriculum` hook sets it.

    Args:
        projector: config of the image head, on the averaged last map of the backbone.
        roi_projector: config of the region head, on what the RoI head gives.
        queue: arguments of the images' :class:`MemoryQueue`.
        roi_queue: arguments of the regions'.
        num_jitters: J, jittered boxes drawn a region.
        noise: arguments of the :class:`BoxNoise` used where no hook sets another; ``None`` for
            the regions' own boxes alone.
        positive: which candidate a query is pulled to: the ``"hardest"`` (least similar) or a
            ``"random"`` one.
        kwargs: those of :class:`RegionContrastModel`.
    """

    def __init__(
        self,
        projector,
        roi_projector,
        queue=None,
        roi_queue=None,
        num_jitters=10,
        noise=None,
        positive="hardest",
        **kwargs,
    ):
        super().__init__(projector=projector, roi_projector=roi_projector, **kwargs)
        if num_jitters < 0:
            raise ValueError(f"model.num_jitters={num_jitters} must be at least 0")
        if positive not in POSITIVES:
            raise ValueError(f"model.positive={positive!r} must be one of {POSITIVES}")
        self._check_roi_projector()
        self.queue = build_queue(queue, self.projector.out_channels)
        self.roi_queue = build_queue(roi_queue, self.roi_projector.out_channels)
        self.num_jitters = num_jitters
        self.noise = noise and BoxNoise(**noise)
        self.positive = positive

    def _check_roi_projector(self):
        extractor, found = self.roi_head.bbox_roi_extractor, self.roi_projector.in_channels
        height, width = extractor.roi_layers[0].output_size
        flat = not hasattr(self.roi_head, "bbox_head") and not hasattr(self.roi_head, "shared_head")
        if flat and found != extractor.out_channels * height * width:
            raise ValueError(
                f"model.roi_projector.in_channels={found} must be {extractor.out_channels} "
                f"(model.roi_head.bbox_roi_extractor.out_channels) x {height} x {width}"
            )

    def backbone_inputs(self, views):
        """The first view passes the online backbone, the second the teacher's."""
        return views[:1], views[1:]

    def loss(self, inputs, data_samples):
        """``loss_image``, ``loss_object`` and ``loss_intra``.

        Args:
            inputs: two ``(B, 3, H, W)`` views, query and key.
            data_samples: list of B :class:`RegionDataSample` with the same regions in the same
                order in both views; an image may have none.
        """
        query_view, key_view = inputs
        query_rois, key_rois = (
            batch_regions(data_samples, view, query_view.device).rois for view in (0, 1)
        )
        queries = self.embed(self.online_modules(), query_view, query_rois)
        with torch.no_grad():
            self.update_teacher()
            image_keys, candidates, near = self.key_candidates(key_view, key_rois)
            positives = self.choose(queries[1], candidates, near)
        losses = self.head(
            (queries[0], image_keys, self.queue.negatives()),
            (queries[1], positives, self.roi_queue.negatives()),
            candidates[:, -1],
            key_rois,
        )
        if self.training:
            self.queue.enqueue(image_keys)
            self.roi_queue.enqueue(positives)
        return losses

    def embed(self, modules, view, rois):
        """Vectors of whole images and of regions.

        Args:
            modules: mapping of module names, online or the teacher's.
            view: ``(B, 3, H, W)``.
            rois: ``(N, 5)``, image index and xyxy in view pixels; N may be 0.

        Returns:
            tuple: ``(B, D)`` and ``(N, D)`` float32, L2-normalised.
        """
        feats = modules["backbone"](view)
        # Without regions a whole image is embedded and dropped: BatchNorm and DDP want each rank
        # to pass through all modules.
        height, width = view.shape[2:]
        rois_or_one = rois if len(rois) else rois.new_tensor([[0, 0, 0, width, height]])
        regions = self.embed_regions(modules, feats, rois_or_one)
        regions = modules["roi_projector"](regions)[: len(rois)]
        images = modules["projector"](self._image_vectors(modules, feats))
        return F.normalize(images.float(), dim=1), F.normalize(regions.float(), dim=1)

    @staticmethod
    def _image_vectors(modules, feats):
        """Averaged res5 ``(B, C)``, which in a C4 model is the RoI head's ``shared_head``."""
        last = feats[-1]
        if hasattr(modules["roi_head"], "shared_head"):
            last = modules["roi_head"].shared_head(last)
        return last.mean(dim=(2, 3))

    def key_candidates(self, view, rois):
        """The teacher's vectors of the key view, under shuffle-BN.

        Candidates that are too far from their region's box are not embedded.

        Args:
            view: ``(B, 3, H, W)``.
            rois: ``(K, 5)`` the regions' own boxes.

        Returns:
            tuple: images ``(B, D)``; candidates ``(K, J + 1, D)``, the own box last; which of
            them are near enough, ``(K, J + 1)`` bool (the vectors of others are zero).
        """
        boxes, near = self._draw_candidates(rois[:, 1:], size=(view.shape[3], view.shape[2]))
        index = rois[:, None, :1].expand(-1, boxes.shape[1], -1)
        shuffle = BatchShuffle(len(view), view.device)
        moved = shuffle.shuffle_rois(torch.cat([index, boxes], dim=-1)[near])
        images, regions = self.embed(self.teacher.module, shuffle.shuffle(view), moved)
        candidates = regions.new_zeros(*near.shape, regions.shape[1])
        candidates[near] = shuffle.unshuffle_rois(regions)
        return shuffle.unshuffle(images), candidates, near

    def _draw_candidates(self, boxes, size):
        if self.noise is None:
            return boxes[:, None], boxes.new_ones(len(boxes), 1, dtype=torch.bool)
        draws = torch.rand(len(boxes), self.num_jitters, 4, device=boxes.device)
        return candidate_boxes(boxes, draws, self.noise, size)

    def choose(self, queries, candidates, near):
        """The positive of each region.

        Args:
            queries: ``(K, D)``.
            candidates: ``(K, J + 1, D)``.
            near: ``(K, J + 1)`` bool, which of them may be chosen.

        Returns:
            torch.Tensor: ``(K, D)``.
        """
        if self.positive == "hardest":
            score = (queries[:, None] * candidates).sum(dim=2)
        else:
            score = torch.rand(near.shape, device=near.device)
        chosen = score.masked_fill(~near, torch.inf).argmin(dim=1)
        return candidates[torch.arange(len(chosen), device=chosen.device), chosen]
