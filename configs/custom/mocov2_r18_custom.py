# MoCo v2 on your unlabelled images: ResNet-18, views of 160 pixels, one GPU or a CPU
_base_ = ["../_base_/models/mocov2_r50.py", "_base_/custom_pretrain.py"]

model = dict(
    backbone=dict(depth=18),
    neck=dict(in_channels=512, hid_channels=512),
    queue_len=4096,
    momentum=0.01,
)
view = [
    dict(type="RegionRandomResizedCrop", scale=160, crop_ratio_range=(0.2, 1.0)),
    _base_.flip,
    *_base_.colours,
]
train_pipeline = [
    dict(type="LoadRegionImage", min_side=414),
    dict(type="RegionMultiView", pipelines=[view, view]),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
