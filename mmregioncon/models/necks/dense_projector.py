"""Heads that work on each location of a feature map (PLRC)."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmregioncon.registry import MODELS


@MODELS.register_module()
class DenseProjector(BaseModule):
    """The same MLP at each location: linear, ReLU, linear, no BatchNorm (PLRC, section 3).

    Args:
        in_channels: C of the map.
        hid_channels: hidden width.
        out_channels: D.
    """

    def __init__(self, in_channels, hid_channels, out_channels=128, init_cfg=None):
        super().__init__(init_cfg)
        self.out_channels = out_channels
        self.mlp = nn.Sequential(
            nn.Conv2d(in_channels, hid_channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hid_channels, out_channels, 1),
        )

    def forward(self, feat):
        """``(B, C, h, w)`` -> ``(B, D, h, w)``."""
        return self.mlp(feat)


@MODELS.register_module()
class PrototypeHead(BaseModule):
    """Cosines with learnt prototypes at each location, as in DINO (PLRC's release has it).

    Linear, BN, ReLU twice; linear to a bottleneck, which is normalised; then its products with
    unit prototypes.

    Args:
        in_channels: C of the map.
        hid_channels: width of both hidden layers.
        bottleneck_channels: width before the prototypes.
        out_channels: number of prototypes.
        bottleneck_norm: 2 or 1, which norm of the bottleneck becomes 1.
    """

    def __init__(
        self,
        in_channels,
        hid_channels=2048,
        bottleneck_channels=256,
        out_channels=4096,
        bottleneck_norm=2,
        init_cfg=None,
    ):
        super().__init__(init_cfg)
        if bottleneck_norm not in (1, 2):
            raise ValueError(
                f"model.prototype_head.bottleneck_norm={bottleneck_norm} must be 1 or 2"
            )
        self.out_channels = out_channels
        self.bottleneck_norm = bottleneck_norm
        self.mlp = nn.Sequential(
            nn.Linear(in_channels, hid_channels),
            nn.BatchNorm1d(hid_channels),
            nn.ReLU(inplace=True),
            nn.Linear(hid_channels, hid_channels),
            nn.BatchNorm1d(hid_channels),
            nn.ReLU(inplace=True),
            nn.Linear(hid_channels, bottleneck_channels),
        )
        self.prototypes = nn.Parameter(torch.empty(out_channels, bottleneck_channels))
        nn.init.trunc_normal_(self.prototypes, std=0.02)

    def forward(self, feat):
        """``(B, C, h, w)`` -> ``(B, out_channels, h, w)``."""
        height, width = feat.shape[2:]
        vectors = feat.permute(0, 2, 3, 1).flatten(0, 2)  # B C h w -> B*h*w C
        bottleneck = F.normalize(self.mlp(vectors).float(), p=self.bottleneck_norm, dim=1)
        cosines = F.linear(bottleneck, F.normalize(self.prototypes, dim=1))
        return cosines.view(len(feat), height, width, -1).permute(0, 3, 1, 2)
