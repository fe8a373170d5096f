"""What all region-contrast algorithms share: named modules, memory format, forward modes."""

from abc import ABCMeta, abstractmethod

import torch
from mmengine.model import BaseModel

from mmregioncon.registry import MODELS


class RegionContrastModel(BaseModel, metaclass=ABCMeta):
    """An online branch whose modules have a detector's names, for a method to build upon.

    ``backbone``, ``neck`` (the detection neck) and ``roi_head`` carry exactly the parameter names
    that mmdet's detectors give them, so that a detector loads the raw checkpoint.

    Args:
        backbone: config of a backbone of mmdet or mmpretrain.
        neck: config of the detection neck, e.g. ``mmdet.FPN``.
        roi_head: config of a :class:`RegionRoIHead`.
        head: config of the loss.
        data_preprocessor: config of a :class:`RegionDataPreprocessor`.
        channels_last: keep weights and views in channels-last memory, the faster one for
            convolutions on most machines. The maths is the same.
    """

    def __init__(
        self,
        backbone,
        neck=None,
        roi_head=None,
        head=None,
        data_preprocessor=None,
        channels_last=False,
        init_cfg=None,
    ):
        preprocessor = dict(type="RegionDataPreprocessor", channels_last=channels_last)
        preprocessor.update(data_preprocessor or {})
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        for name, cfg in dict(neck=neck, roi_head=roi_head, head=head).items():
            if cfg is not None:
                setattr(self, name, MODELS.build(cfg))
        self.channels_last = channels_last

    def init_weights(self):
        """Initialise, then settle the memory format of the weights."""
        super().init_weights()
        if self.channels_last:
            self.to(memory_format=torch.channels_last)

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
