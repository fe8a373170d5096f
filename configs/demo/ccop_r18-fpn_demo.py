# CCOP on the demo data: half of ResNet-18's widths, two views of 96 pixels
_base_ = [
    "../_base_/models/ccop_r50-fpn.py",
    "_base_/demo_pretrain.py",
]

model = dict(
    backbone=dict(depth=18, base_channels=32),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=64, scale_thresholds=(24, 48, 96))),
    projector=dict(in_channels=256, hid_channels=256),
    roi_projector=dict(in_channels=64 * 7 * 7, hid_channels=256),
    # Queues shorter than the 800 images and their regions, or an image would be its own negative;
    # a teacher that follows in time
    queue=dict(length=512),
    roi_queue=dict(length=2048),
    teacher=dict(momentum=0.99),
    channels_last=True,
    skip_unused_levels=True,
)

# 144 of 224 x 224 pixels are 26 of 96 x 96. The crops are larger than the paper's: the demo's
# images are small.
stays = dict(min_visible=0.6, min_area=26)
train_pipeline = [
    dict(type="LoadRegionImage"),
    dict(type="DrawRegionCrops", size=96, crop_ratio_range=(0.3, 1.0), **stays),
    dict(
        type="RegionMultiView",
        pipelines=[
            [
                dict(type="RegionCrop", window=window, size=96),
                _base_.flip,
                *_base_.small_colours,
            ]
            for window in (0, 1)
        ],
    ),
    dict(type="CommonRegions", max_regions=10, **stays),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [*_base_.custom_hooks, dict(type="SpatialNoiseCurriculum")]
