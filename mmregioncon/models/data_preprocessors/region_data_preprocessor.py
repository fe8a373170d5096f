"""Batches of views: moved, put in RGB and normalised on the device."""

import torch
from mmpretrain.models.utils import SelfSupDataPreprocessor

from mmregioncon.registry import MODELS


@MODELS.register_module()
class RegionDataPreprocessor(SelfSupDataPreprocessor):
    """mmpretrain's multi-view preprocessor with ImageNet's RGB statistics as the default.

    ``inputs`` is a list of V ``(B, 3, H, W)`` uint8 BGR tensors (sizes may differ from view to
    view); the result has float32 RGB. Regions stay with ``data_samples`` on the CPU until
    :func:`mmregioncon.structures.batch_regions` moves them in one piece.

    Args:
        channels_last: memory format of the views; use it with the model's ``channels_last``.
    """

    def __init__(
        self,
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        bgr_to_rgb=True,
        non_blocking=True,
        channels_last=False,
    ):
        super().__init__(mean=mean, std=std, bgr_to_rgb=bgr_to_rgb, non_blocking=non_blocking)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def forward(self, data, training=False):
        """Return ``dict(inputs=[view, ...], data_samples=[...])`` on the model's device."""
        batch = super().forward(data, training)
        batch["inputs"] = [
            view.contiguous(memory_format=self.memory_format) for view in batch["inputs"]
        ]
        return batch
