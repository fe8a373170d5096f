"""CCOP's projection head."""

from mmengine.model import BaseModule
from torch import nn

from mmregioncon.registry import MODELS


@MODELS.register_module()
class DropoutMLP(BaseModule):
    """Linear, dropout, ReLU, linear, without BatchNorm (CCOP, arXiv 2111.13651).

    Args:
        in_channels: C.
        hid_channels: width of the hidden layer.
        out_channels: D.
        dropout: probability that a hidden unit is dropped in training.
    """

    def __init__(
        self, in_channels, hid_channels=2048, out_channels=128, dropout=0.1, init_cfg=None
    ):
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.hidden = nn.Linear(in_channels, hid_channels)
        self.dropout = nn.Dropout(dropout)
        self.relu = nn.ReLU(inplace=True)
        self.out = nn.Linear(hid_channels, out_channels)

    def forward(self, x):
        """Embed vectors ``(N, C)`` to ``(N, D)``."""
        return self.out(self.relu(self.dropout(self.hidden(x))))
