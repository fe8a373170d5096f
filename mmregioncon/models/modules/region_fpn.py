"""mmdet's FPN that can leave out the levels nobody asks for."""

import torch.nn.functional as F
from mmdet.models.necks import FPN

from mmregioncon.registry import MODELS


@MODELS.register_module()
class RegionFPN(FPN):
    """mmdet's :class:`FPN`, key names and all, computing only what the levels in use need.

    The output convolution of P2 costs more than all the rest of the pyramid, and large views
    seldom have a region on it; below the finest level in use, the lateral convolutions are left
    out too. Losses and gradients are the same; what differs is that the running statistics of a
    skipped BatchNorm do not see that view.
    """

    def forward(self, inputs, levels=None):
        """Pyramid of a view.

        Args:
            inputs: tuple of ``(B, C_i, H_i, W_i)`` backbone features.
            levels: indices of the outputs wanted; ``None`` computes all.

        Returns:
            tuple: ``(B, C, H_i, W_i)`` or ``None`` where a level is not wanted.
        """
        if levels is None:
            return super().forward(inputs)
        outs, merged = [None] * len(inputs), None
        for level in reversed(range(min(levels, default=len(inputs)), len(inputs))):
            lateral = self.lateral_convs[level](inputs[level])
            if merged is not None:
                lateral = lateral + F.interpolate(merged, size=lateral.shape[2:])
            merged = lateral
            if level in levels:
                outs[level] = self.fpn_convs[level](merged)
        return tuple(outs)
