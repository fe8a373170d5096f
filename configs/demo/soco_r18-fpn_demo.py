# SoCo on the demo data: half of ResNet-18's widths, views of 96, 96 and 48 pixels
_base_ = [
    "../_base_/models/soco_r50-fpn.py",
    "../_base_/datasets/soco_in1k.py",
    "../_base_/default_runtime.py",
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
    # The teacher must follow faster than over the paper's 60,000 iterations
    teacher=dict(momentum=0.9),
    channels_last=True,
    skip_unused_levels=True,
)

train_pipeline = [
    dict(type="LoadRegionImage"),
    dict(
        type="RegionMultiView",
        pipelines=[
            [dict(type="RegionResize", size=96), _base_.flip, *_base_.colours_1],
            [
                dict(type="RegionRandomResizedCrop", scale=96, crop_ratio_range=(0.5, 1.0)),
                _base_.flip,
                *_base_.colours_2,
            ],
            [
                dict(type="RegionRandomResizedCrop", scale=48, crop_of=1),
                _base_.flip,
                *_base_.colours_2,
            ],
        ],
    ),
    _base_.choose_regions,
    dict(type="RegionCutout", views=(1, 2)),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(region_file="data/demo/regions.arrow", pipeline=train_pipeline),
)

max_epochs = 8
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="OnlineOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.01),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min=1e-6,
        T_max=max_epochs - 1,
        begin=1,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs)
auto_scale_lr = dict(enable=False, base_batch_size=32)
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=1, max_keep_ckpts=1))
