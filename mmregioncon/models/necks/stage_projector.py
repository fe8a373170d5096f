"""Projection heads of DetCo: one for every stage of the backbone (arXiv 2102.04803)."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmregioncon.registry import MODELS


@MODELS.register_module()
class StageProjector(BaseModule):
    """An MLP for each stage and each kind of input, none of them shared.

    A ``global`` head takes the average over a stage's map of the image; a ``local`` one takes those
    of all the patches, one behind the other in the order in which they were fed. The MLPs are those
    of MoCo v2: linear, ReLU, linear.

    Args:
        in_channels: C of each stage.
        num_patches: patches of an image.
        hid_channels: hidden width, one number or one a stage; ``None`` takes C, also for the local
            heads, whose input is ``num_patches`` times wider.
        out_channels: D.
        kinds: which heads there are, of "global" and "local".
    """

    def __init__(
        self,
        in_channels,
        num_patches=9,
        hid_channels=None,
        out_channels=128,
        kinds=("global", "local"),
        init_cfg=None,
    ):
        super().__init__(init_cfg)
        hidden = in_channels if hid_channels is None else hid_channels
        if isinstance(hidden, int):
            hidden = [hidden] * len(in_channels)
        if len(hidden) != len(in_channels):
            raise ValueError(
                f"model.projector.hid_channels={tuple(hidden)} must be one number, or one for each "
                f"of in_channels={tuple(in_channels)}"
            )
        self.num_patches = num_patches
        self.num_stages = len(in_channels)
        self.out_channels = out_channels
        self.heads = nn.ModuleDict()
        for kind in kinds:
            parts = self.parts(kind)
            self.heads[kind] = nn.ModuleList(
                _mlp(parts * channels, hid, out_channels)
                for channels, hid in zip(in_channels, hidden)
            )

    def parts(self, kind):
        """How many maps make one embedding: 1, or the number of patches."""
        return self.num_patches if kind == "local" else 1

    def forward(self, feats, kind):
        """Embed the stages of images, or of all their patches together.

        Args:
            feats: L maps ``(B, C_i, H_i, W_i)``; for ``local`` ``(B * num_patches, ...)``, the
                patches of an image one after another.
            kind: "global" or "local".

        Returns:
            torch.Tensor: ``(B, L, D)`` float32, L2-normalised.
        """
        parts = self.parts(kind)
        pooled = (feat.mean(dim=(2, 3)).view(len(feat) // parts, -1) for feat in feats)
        embedded = [head((vector,))[0] for head, vector in zip(self.heads[kind], pooled)]
        return F.normalize(torch.stack(embedded, dim=1).float(), dim=-1)


def _mlp(in_channels, hid_channels, out_channels):
    return MODELS.build(
        dict(
            type="mmpretrain.MoCoV2Neck",
            in_channels=in_channels,
            hid_channels=hid_channels,
            out_channels=out_channels,
            with_avg_pool=False,
        )
    )
