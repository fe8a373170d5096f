# PLRC on your unlabelled images: ResNet-18, views of 160 pixels, one GPU or a CPU
_base_ = ["../_base_/models/plrc_r50.py", "_base_/custom_pretrain.py"]

model = dict(
    # The last stage keeps its stride: a 10x10 map of 160 pixels, where the usual strides would
    # leave 5x5, little to sample points of a 4x4 grid from. Parameters and names are the same.
    backbone=dict(depth=18, strides=(1, 2, 2, 1)),
    projector=dict(in_channels=512, hid_channels=512),
    queue=dict(length=4096),
    teacher=dict(momentum=0.99),
    channels_last=True,
)

train_pipeline = [
    dict(type="LoadRegionImage", min_side=414),
    dict(type="GridLabels", grid=4),
    dict(type="DrawOverlappingCrops", min_overlap=0.5, crop_ratio_range=(0.2, 1.0)),
    dict(
        type="RegionMultiView",
        pipelines=[
            [dict(type="RegionCrop", window=window, size=160), _base_.flip, *_base_.colours]
            for window in (0, 1)
        ],
    ),
    dict(type="SampleRegionPoints", num_points=16, max_regions=16),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
