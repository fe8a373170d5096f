"""The part of an mmdet box head that region contrast can train."""

from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmengine.registry import DefaultScope

from mmregioncon.registry import MODELS


@MODELS.register_module()
class BBoxHeadTrunk(ConvFCBBoxHead):
    """Shared convolutions and layers of mmdet's :class:`ConvFCBBoxHead`, with its key names.

    Takes the arguments that shape the trunk of a detector's head; the classifier and the
    regressor are left out, since unlabelled images cannot train them.
    """

    def __init__(self, num_shared_convs=4, num_shared_fcs=1, **kwargs):
        kwargs.setdefault("init_cfg", dict(type="Xavier", distribution="uniform", layer="Linear"))
        with DefaultScope.overwrite_default_scope("mmdet"):  # its losses and coders live there
            super().__init__(
                num_shared_convs=num_shared_convs, num_shared_fcs=num_shared_fcs, **kwargs
            )
        del self.fc_cls, self.fc_reg

    def forward(self, x):
        """Embed RoI features ``(N, C, h, w)`` to ``(N, fc_out_channels)``."""
        for conv in self.shared_convs:
            x = conv(x)
        x = x.flatten(1)
        for fc in self.shared_fcs:
            x = self.relu(fc(x))
        return x
