# SoCo on your unlabelled images: ResNet-18-FPN, views of 160, 160 and 80 pixels, one GPU or a CPU
_base_ = [
    "../_base_/models/soco_r50-fpn.py",
    "_base_/custom_pretrain.py",
]

norm_cfg = dict(type="BN", requires_grad=True)
mlp_norm_cfg = dict(type="BN1d", requires_grad=True)
model = dict(
    backbone=dict(depth=18, norm_cfg=norm_cfg),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=128, norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=128, scale_thresholds=(34, 68, 136)),
        bbox_head=dict(
            num_shared_convs=2,
            in_channels=128,
            conv_out_channels=128,
            fc_out_channels=512,
            norm_cfg=norm_cfg,
        ),
    ),
    # As in the demo: a last BN takes the common mean out of the targets (docs/results.md).
    projector=dict(
        in_channels=512,
        hid_channels=2048,
        out_channels=256,
        with_last_bn=True,
        with_last_bn_affine=False,
        with_last_bias=False,
        norm_cfg=mlp_norm_cfg,
    ),
    predictor=dict(in_channels=256, hid_channels=2048, out_channels=256, norm_cfg=mlp_norm_cfg),
    channels_last=True,
    skip_unused_levels=True,
)

train_pipeline = [
    dict(type="LoadRegionImage", min_side=262),
    dict(
        type="RegionMultiView",
        pipelines=[
            [dict(type="RegionResize", size=160), _base_.flip, *_base_.colours_1],
            [
                dict(type="RegionRandomResizedCrop", scale=160, crop_ratio_range=(0.5, 1.0)),
                _base_.flip,
                *_base_.colours_2,
            ],
            [
                dict(type="RegionRandomResizedCrop", scale=80, crop_of=1),
                _base_.flip,
                *_base_.colours_2,
            ],
        ],
    ),
    dict(type="SelectPairRegions", pairs=[(0, 1), (0, 2)], num_regions=4),
    dict(type="RegionCutout", views=(1, 2)),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
