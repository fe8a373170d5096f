"""Batches of views: moved, changed in colour if asked, put in RGB and normalised on the device."""

import torch
from mmpretrain.models.utils import SelfSupDataPreprocessor

from mmregioncon.registry import MODELS
from mmregioncon.structures import Colours

from .batch_colours import change_colours, paint_cutouts


@MODELS.register_module()
class RegionDataPreprocessor(SelfSupDataPreprocessor):
    """mmpretrain's multi-view preprocessor with ImageNet's RGB statistics as the default.

    ``inputs`` is a list of V ``(B, 3, H, W)`` uint8 BGR tensors (sizes may differ from view to
    view); the result has float32 RGB. Views whose ``data_samples`` bring ``colours`` (of
    ``RegionDataset.colours_on_device``) get these, and the cutouts, before they are normalised.
    Regions stay with ``data_samples`` on the CPU until
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

    @torch.no_grad()
    def forward(self, data, training=False):
        """Return ``dict(inputs=[view, ...], data_samples=[...])`` on the model's device."""
        data = self.cast_data(data)
        samples = data.get("data_samples") or []
        if any("colours" in sample for sample in samples):
            # 8 bits of a half-precision number are not enough for colours
            with torch.autocast(self.device.type, enabled=False):
                views = enumerate(data["inputs"])
                data["inputs"] = [augment(view, samples, index) for index, view in views]
        batch = super().forward(data, training)
        batch["inputs"] = [
            view.contiguous(memory_format=self.memory_format) for view in batch["inputs"]
        ]
        return batch


def augment(view, samples, index):
    """Do what the workers have drawn.

    Args:
        view: ``(B, 3, H, W)`` uint8 BGR.
        samples: B :class:`RegionDataSample` with ``colours``.
        index: of the view.

    Returns:
        torch.Tensor: ``(B, 3, H, W)`` float32 BGR, 0 to 255.
    """
    images = view.float().contiguous()
    images = change_colours(images, [one.colours[index] or Colours() for one in samples])
    cutouts = [getattr(one.views[index], "cutouts", None) for one in samples]
    if cutouts[0] is not None:
        images = paint_cutouts(images, cutouts, samples[0].cutout_fill)
    return images
