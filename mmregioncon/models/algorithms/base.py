"""What all region-contrast algorithms share: named modules, the teacher, forward modes."""

from abc import ABCMeta, abstractmethod

import torch
from mmengine.model import BaseModel
from torch import nn

from mmregioncon.registry import MODELS

from ..modules import BatchShuffle

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
