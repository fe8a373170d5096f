"""mmdet's FPN that can leave out the levels nobody asks for."""

import torch.nn.functional as F
from mmdet.models.necks import FPN

from mmregioncon.registry import MODELS


@MODELS.register_module()
class RegionFPN(FPN):
    """mmdet's :class:`FPN`, key names and all, computing only the output levels that are used.

    The output convolution of P2 costs more than all the rest of the pyramid, and large views
    seldom have a region on it. Losses and gradients are the same; what differs is that the running
    statistics of a skipped level's BatchNorm do not see that view.
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
        laterals = [conv(feat) for conv, feat in zip(self.lateral_convs, inputs)]
        for fine in range(len(laterals) - 2, -1, -1):
            size = laterals[fine].shape[2:]
            laterals[fine] = laterals[fine] + F.interpolate(laterals[fine + 1], size=size)
        return tuple(
            conv(lateral) if level in levels else None
            for level, (conv, lateral) in enumerate(zip(self.fpn_convs, laterals))
        )
