"""What all region-contrast algorithms share: named modules, the teacher, forward modes."""

from abc import ABCMeta, abstractmethod

import torch
from mmengine.model import BaseModel
from torch import nn

from mmregioncon.registry import MODELS

from ..modules import BatchShuffle, RegionFPN

# Modules that only the online network has
ONLINE_ONLY = ("head", "predictor")


class RegionContrastModel(BaseModel, metaclass=ABCMeta):
    """An online branch whose modules have a detector's names, its teacher, and a loss.

    ``backbone``, ``neck`` (the detection neck) and ``roi_head`` carry exactly the parameter names
    that mmdet's detectors give them, so that a detector loads the raw checkpoint.

    Args:
        backbone: config of a backbone of mmdet or mmpretrain.
        teacher: arguments of the :class:`MomentumTeacher`, which copies all modules but ``head``
            and ``predictor``.
        head: config of the loss.
        neck: config of the detection neck, e.g. ``mmdet.FPN``.
        roi_head: config of a :class:`RegionRoIHead`.
        data_preprocessor: config of a :class:`RegionDataPreprocessor`.
        channels_last: keep weights and views in channels-last memory, the faster one for
            convolutions on most machines. The maths is the same.
        skip_unused_levels: do not compute a pyramid level of a view on which the batch has no
            region (needs a :class:`RegionFPN`). Losses and gradients stay the same; running
            statistics of that level's BatchNorm do not see the view.
        projections: configs of the method's own modules, by name (``projector``, ...); ``None``
            leaves one out.
    """

    def __init__(
        self,
        backbone,
        teacher,
        head,
        neck=None,
        roi_head=None,
        data_preprocessor=None,
        channels_last=False,
        skip_unused_levels=False,
        init_cfg=None,
        **projections,
    ):
        preprocessor = dict(type="RegionDataPreprocessor", channels_last=channels_last)
        preprocessor.update(data_preprocessor or {})
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        modules = dict(backbone=backbone, neck=neck, roi_head=roi_head, **projections, head=head)
        modules = {name: cfg for name, cfg in modules.items() if cfg is not None}
        for name, cfg in modules.items():
            setattr(self, name, MODELS.build(cfg))
        self._in_teacher = [name for name in modules if name not in ONLINE_ONLY]
        self.teacher = MODELS.build(
            dict(type="MomentumTeacher", **teacher), default_args=dict(model=self.online_modules())
        )
        self.channels_last = channels_last
        if skip_unused_levels:
            self._check_levels_can_be_skipped()
        self.skip_unused_levels = skip_unused_levels

    def _check_levels_can_be_skipped(self):
        neck, roi_head = getattr(self, "neck", None), getattr(self, "roi_head", None)
        if not isinstance(neck, RegionFPN) or roi_head is None or roi_head.embed_all_levels:
            raise ValueError(
                "model.skip_unused_levels=True needs model.neck.type='RegionFPN' (here "
                f"{type(neck).__name__}) and model.roi_head.embed_all_levels=False"
            )

    def init_weights(self):
        """Initialise, then settle the memory format of the weights."""
        super().init_weights()
        if self.channels_last:
            self.to(memory_format=torch.channels_last)

    def online_modules(self):
        """The modules that have a momentum copy, under their own names."""
        return nn.ModuleDict({name: getattr(self, name) for name in self._in_teacher})

    def update_teacher(self):
        """Move the teacher towards the online modules, in training mode only."""
        if self.training:
            self.teacher.update_parameters(self.online_modules())

    @torch.no_grad()
    def shuffled_keys(self, function, *views):
        """``function`` of key views, with the images shuffled across ranks on the way (shuffle-BN).

        Args:
            function: from views to a tensor ``(B, ...)`` or a tuple of such.
            views: ``(B, 3, H, W)`` each; all are shuffled alike.
        """
        shuffle = BatchShuffle(len(views[0]), views[0].device)
        keys = function(*(shuffle.shuffle(view) for view in views))
        if isinstance(keys, torch.Tensor):
            return shuffle.unshuffle(keys)
        return tuple(shuffle.unshuffle(key) for key in keys)

    def backbone_inputs(self, views):
        """What passes through the backbones in a step: ``(online, teacher)`` lists of views.

        ``tools/benchmarks/benchmark_step.py`` takes its floor from them.
        """
        return views, views

    def extract_feat(self, view):
        """Feature maps of one view.

        Args:
            view: ``(B, 3, H, W)`` float32, normalised.

        Returns:
            tuple[torch.Tensor]: ``(B, C, H', W')``, finest first.
        """
        feats = self.backbone(view)
        return self.neck(feats) if hasattr(self, "neck") else feats

    def embed_regions(self, modules, feats, rois):
        """Vectors of regions from a backbone's maps, through ``neck`` (if any) and ``roi_head``.

        Args:
            modules: mapping of module names, online or the teacher's.
            feats: tuple of ``(B, C_i, H_i, W_i)`` backbone features.
            rois: ``(N, 5)``, image index and xyxy in view pixels.

        Returns:
            torch.Tensor: ``(N, C)``.
        """
        if "neck" not in modules:
            return modules["roi_head"](feats, rois)
        levels = {}
        if self.skip_unused_levels:
            levels["levels"] = modules["roi_head"].bbox_roi_extractor.used_levels(rois)
        pyramid = modules["neck"](feats, **levels)
        return modules["roi_head"](pyramid, rois) + self._untouched(modules, feats)

    @staticmethod
    def _untouched(modules, feats):
        """Zero, with a graph to every neck parameter and backbone map: DDP wants gradients for all
        parameters, also for the levels on which this rank has no region (some backbones have a
        norm for each map)."""
        used = [parameter.sum() for parameter in modules["neck"].parameters()]
        return 0.0 * sum(used + [feat.mean() for feat in feats])

    def forward(self, inputs, data_samples=None, mode="tensor"):
        """``mode='loss'``: dict of losses; ``mode='tensor'``: feature maps of each view.

        Args:
            inputs: list of V ``(B, 3, H, W)`` views.
            data_samples: list of B :class:`RegionDataSample`.
        """
        if mode == "loss":
            return self.loss(inputs, data_samples)
        if mode == "tensor":
            return [self.extract_feat(view) for view in inputs]
        raise ValueError(f"mode={mode!r}: a pre-training model knows 'loss' and 'tensor'")

    @abstractmethod
    def loss(self, inputs, data_samples):
        """Losses by name, from views and their regions."""
