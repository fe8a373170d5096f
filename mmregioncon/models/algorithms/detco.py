"""DetCo: contrast at every stage, and between an image and its patches (arXiv 2102.04803)."""

import torch
from torch import nn

from mmregioncon.registry import MODELS

from ..heads.detco_head import kinds_of_terms
from ..modules import build_queue
from .base import RegionContrastModel


@MODELS.register_module()
class DetCo(RegionContrastModel):
    """MoCo v2 on all stages of a backbone, with whole images and with patches.

    Views: image query, image key, patches query, patches key, where the patches of an image are
    one strip (:class:`JigsawPatches`). If no term uses images, or none patches, the data have only
    the two views of the other. Every view passes each network by itself; the key of an image and
    the key of its patches are shuffled together (shuffle-BN).

    Args:
        projector: config of a :class:`StageProjector`.
        head: config of a :class:`DetCoHead`.
        terms: some of "gg" (image to image), "ll" (patches to patches), "gl" (patches to image).
        queue: arguments of the :class:`MemoryQueue` that each stage has for images, and another for
            patches.
        kwargs: those of :class:`RegionContrastModel`.
    """

    def __init__(self, projector, head, terms=("gg", "ll", "gl"), queue=None, **kwargs):
        query_kinds, key_kinds = kinds_of_terms(terms)
        super().__init__(
            projector=dict(projector, kinds=query_kinds), head=dict(head, terms=terms), **kwargs
        )
        self.query_kinds, self.key_kinds = query_kinds, key_kinds
        self._check_stages()
        stages, dim = range(self.projector.num_stages), self.projector.out_channels
        self.queues = nn.ModuleDict(
            {kind: nn.ModuleList(build_queue(queue, dim) for _ in stages) for kind in key_kinds}
        )

    def _check_stages(self):
        counts = {
            "model.projector.in_channels": self.projector.num_stages,
            "model.head.stage_weights": len(self.head.stage_weights),
        }
        if hasattr(self.backbone, "out_indices"):
            counts["model.backbone.out_indices"] = len(self.backbone.out_indices)
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{key} has {count}" for key, count in counts.items())
            raise ValueError(f"{found}: each needs one entry for every stage that is contrasted")
        last = max(getattr(self.backbone, "out_indices", ()), default=None)
        if last is not None and getattr(self.backbone, "num_stages", 0) > last + 1:
            raise ValueError(
                f"model.backbone.out_indices ends with {last}, so that later stages would get no "
                f"gradient: set model.backbone.num_stages={last + 1}, and as many strides and "
                "dilations"
            )

    def views_by_kind(self, views):
        """``{kind: (query view, key view)}``, the patches still in strips."""
        if len(views) != 2 * len(self.query_kinds):
            raise ValueError(
                f"model.terms={self.head.terms} needs a query and a key view of each of "
                f"{self.query_kinds}, {2 * len(self.query_kinds)} views in that order; "
                f"RegionMultiView.pipelines makes {len(views)}"
            )
        return dict(zip(self.query_kinds, zip(views[::2], views[1::2])))

    def as_fed(self, view, kind):
        """The view as the backbone gets it: patches ``(B * n, 3, h, h)`` if it is a strip."""
        return split_patches(view, self.projector.num_patches) if kind == "local" else view

    def backbone_inputs(self, views):
        """Images and split patches that pass through the two networks."""
        by_kind = self.views_by_kind(views)
        online = [self.as_fed(by_kind[kind][0], kind) for kind in self.query_kinds]
        return online, [self.as_fed(by_kind[kind][1], kind) for kind in self.key_kinds]

    def loss(self, inputs, data_samples):
        """``loss_gg``, ``loss_ll`` and ``loss_gl``, as far as ``terms`` says.

        Args:
            inputs: 4 views, or 2 (see the class); images ``(B, 3, H, W)``, strips of n patches
                ``(B, 3, h, n * h)``.
            data_samples: not used, DetCo has no regions.
        """
        by_kind = self.views_by_kind(inputs)
        self.update_teacher()
        teacher, online = self.teacher.module, self.online_modules()

        def embed_keys(*views):
            return tuple(self.embed(teacher, *pair) for pair in zip(views, self.key_kinds))

        keys = self.shuffled_keys(embed_keys, *(by_kind[kind][1] for kind in self.key_kinds))
        keys = dict(zip(self.key_kinds, keys))
        queries = {kind: self.embed(online, by_kind[kind][0], kind) for kind in self.query_kinds}
        negatives = {
            kind: [queue.negatives() for queue in queues] for kind, queues in self.queues.items()
        }
        losses = self.head(queries, keys, negatives)
        if self.training:
            self.enqueue(keys)
        return losses

    def embed(self, modules, view, kind):
        """Embeddings ``(B, L, D)`` of a view's stages.

        Args:
            modules: mapping with ``backbone`` and ``projector``.
            view: images ``(B, 3, H, W)``, or strips of patches.
            kind: "global" or "local".
        """
        return modules["projector"](modules["backbone"](self.as_fed(view, kind)), kind)

    def enqueue(self, keys):
        """Put keys ``(B, L, D)``, by kind, into the queues of their stages."""
        for kind, queues in self.queues.items():
            for queue, stage in zip(queues, keys[kind].unbind(1)):
                queue.enqueue(stage)


def split_patches(view, num_patches):
    """Take strips of patches apart.

    Args:
        view: ``(B, 3, h, n * h)``, the n patches of an image side by side.
        num_patches: n.

    Returns:
        torch.Tensor: ``(B * n, 3, h, h)``, image after image; channels-last if ``view`` is.

    Raises:
        ValueError: the strip does not hold n square patches.
    """
    height, width = view.shape[2:]
    if width != num_patches * height:
        raise ValueError(
            f"a strip of {height} x {width} pixels does not hold "
            f"model.projector.num_patches={num_patches} square patches: that must be the square of "
            "JigsawPatches.grid"
        )
    patches = view.unflatten(3, (num_patches, height))
    if view.is_contiguous(memory_format=torch.channels_last):
        return patches.permute(0, 3, 2, 4, 1).flatten(0, 1).permute(0, 3, 1, 2)
    return patches.permute(0, 3, 1, 2, 4).flatten(0, 1)
