# DenseCL on the demo data: half of ResNet-18's widths, views of 96 pixels
_base_ = ["../_base_/models/densecl_r50.py", "_base_/demo_pretrain.py"]

model = dict(
    # No stride in the last stage: 3 x 3 places are too few to tell apart.
    backbone=dict(depth=18, base_channels=32, strides=(1, 2, 2, 1)),
    neck=dict(in_channels=256, hid_channels=256),
    queue_len=512,
    momentum=0.01,
)
view = [
    dict(type="RegionRandomResizedCrop", scale=96, crop_ratio_range=(0.2, 1.0)),
    _base_.flip,
    *_base_.small_colours,
]
train_pipeline = [
    dict(type="LoadRegionImage"),
    dict(type="RegionMultiView", pipelines=[view, view]),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
