# DetCo on your unlabelled images: ResNet-18, images of 160 pixels, 9 patches of 48; GPU or CPU
_base_ = [
    "../_base_/models/detco_r50.py",
    "_base_/custom_pretrain.py",
]

model = dict(
    backbone=dict(depth=18),
    projector=dict(in_channels=[64, 128, 256, 512]),
    # Shorter than your data set: else images meet their own earlier keys as negatives
    queue=dict(length=4096),
    teacher=dict(momentum=0.99),
    channels_last=True,
)

image = [
    dict(type="RegionRandomResizedCrop", scale=160, crop_ratio_range=(0.2, 1.0)),
    _base_.flip,
    *_base_.colours,
]
patches = [
    dict(type="RegionRandomResizedCrop", scale=192, crop_ratio_range=(0.6, 1.0)),
    _base_.flip,
    _base_.strong_jitter,
    _base_.half_blur,
    dict(type="JigsawPatches", crop_size=192, grid=3, patch_size=48),
]
train_pipeline = [
    dict(type="LoadRegionImage", min_side=414),
    dict(type="RegionMultiView", pipelines=[image, image, patches, patches]),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
