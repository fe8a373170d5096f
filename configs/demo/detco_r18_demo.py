# DetCo on the demo data: half of ResNet-18's widths, images of 96 pixels, 9 patches of 32
_base_ = [
    "../_base_/models/detco_r50.py",
    "_base_/demo_pretrain.py",
]

model = dict(
    backbone=dict(depth=18, base_channels=32),
    projector=dict(in_channels=[32, 64, 128, 256], hid_channels=256),
    queue=dict(length=512),
    # The teacher must follow faster than over the paper's million iterations
    teacher=dict(momentum=0.99),
    channels_last=True,
)

image = [
    dict(type="RegionRandomResizedCrop", scale=96, crop_ratio_range=(0.4, 1.0)),
    _base_.flip,
    *_base_.small_colours,
]
patches = [
    dict(type="RegionRandomResizedCrop", scale=120, crop_ratio_range=(0.6, 1.0)),
    _base_.flip,
    _base_.jitter,
    _base_.small_blur,
    dict(type="JigsawPatches", crop_size=120, grid=3, patch_size=32),
]
train_pipeline = [
    dict(type="LoadRegionImage"),
    dict(type="RegionMultiView", pipelines=[image, image, patches, patches]),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
