# SoCo on ResNet-50, FPN and the 4conv1fc box head's trunk
_base_ = "./region_r50-fpn.py"

norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    type="SoCo",
    backbone=dict(norm_cfg=norm_cfg),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(
            type="BBoxHeadTrunk",
            num_shared_convs=4,
            num_shared_fcs=1,
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            norm_cfg=norm_cfg,
        ),
    ),
    projector=dict(
        type="mmpretrain.NonLinearNeck",
        in_channels=1024,
        hid_channels=4096,
        out_channels=256,
        with_bias=True,
        with_last_bn=False,
        with_last_bias=True,
        with_avg_pool=False,
        norm_cfg=norm_cfg,
    ),
    predictor=dict(
        type="mmpretrain.NonLinearNeck",
        in_channels=256,
        hid_channels=4096,
        out_channels=256,
        with_bias=True,
        with_last_bn=False,
        with_last_bias=True,
        with_avg_pool=False,
        norm_cfg=norm_cfg,
    ),
    head=dict(type="SoCoHead"),
    teacher=dict(momentum=0.99, end_momentum=1.0),
)
