# CCOP on your unlabelled images: ResNet-18-FPN, two views of 160 pixels, one GPU or a CPU
_base_ = [
    "../_base_/models/ccop_r50-fpn.py",
    "_base_/custom_pretrain.py",
]

model = dict(
    backbone=dict(depth=18),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=128),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=128, scale_thresholds=(34, 68, 136))),
    projector=dict(in_channels=512, hid_channels=512),
    roi_projector=dict(in_channels=128 * 7 * 7, hid_channels=512),
    queue=dict(length=4096),
    roi_queue=dict(length=8192),
    teacher=dict(momentum=0.99),
    channels_last=True,
    skip_unused_levels=True,
)

# 144 of 224 x 224 pixels are 73 of 160 x 160
stays = dict(min_visible=0.6, min_area=73)
train_pipeline = [
    dict(type="LoadRegionImage", min_side=414),
    dict(type="DrawRegionCrops", size=160, crop_ratio_range=(0.2, 1.0), **stays),
    dict(
        type="RegionMultiView",
        pipelines=[
            [
                dict(type="RegionCrop", window=window, size=160),
                _base_.flip,
                _base_.jitter,
                _base_.grey,
                _base_.half_blur,
            ]
            for window in (0, 1)
        ],
    ),
    dict(type="CommonRegions", max_regions=20, **stays),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [*_base_.custom_hooks, dict(type="SpatialNoiseCurriculum")]
