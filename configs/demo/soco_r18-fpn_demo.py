# SoCo on the demo data: half of ResNet-18's widths, views of 80, 80 and 48 pixels
_base_ = [
    "../_base_/models/soco_r50-fpn.py",
    "_base_/demo_pretrain.py",
]

norm_cfg = dict(type="BN", requires_grad=True)
mlp_norm_cfg = dict(type="BN1d", requires_grad=True)
model = dict(
    backbone=dict(depth=18, base_channels=32, norm_cfg=norm_cfg),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64, norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, scale_thresholds=(24, 48, 96)),
        bbox_head=dict(
            num_shared_convs=2,
            in_channels=64,
            conv_out_channels=64,
            fc_out_channels=256,
            norm_cfg=norm_cfg,
        ),
    ),
    # A last BN takes the common mean out of the targets. Without it (as in the paper) a run of 200
    # iterations mostly learns that mean (docs/results.md).
    projector=dict(
        in_channels=256,
        hid_channels=1024,
        out_channels=128,
        with_last_bn=True,
        with_last_bn_affine=False,
        with_last_bias=False,
        norm_cfg=mlp_norm_cfg,
    ),
    predictor=dict(in_channels=128, hid_channels=1024, out_channels=128, norm_cfg=mlp_norm_cfg),
    teacher=dict(momentum=0.99),
    channels_last=True,
    skip_unused_levels=True,
)

train_pipeline = [
    dict(type="LoadRegionImage"),
    dict(
        type="RegionMultiView",
        pipelines=[
            [dict(type="RegionResize", size=80), _base_.flip, *_base_.small_colours],
            [
                dict(type="RegionRandomResizedCrop", scale=80, crop_ratio_range=(0.4, 1.0)),
                _base_.flip,
                *_base_.small_colours,
            ],
            [
                dict(type="RegionRandomResizedCrop", scale=48, crop_of=1),
                _base_.flip,
                *_base_.small_colours,
            ],
        ],
    ),
    dict(type="SelectPairRegions", pairs=[(0, 1), (0, 2)], num_regions=6),
    dict(type="RegionCutout", views=(1, 2), prob=0.2),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# A predictor that learns faster than the rest keeps the vectors from losing their dimensions
# (docs/results.md).
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"predictor": dict(lr_mult=10.0)}))
