# PLRC on the demo data: half of ResNet-18's widths, views of 96 pixels
_base_ = ["../_base_/models/plrc_r50.py", "_base_/demo_pretrain.py"]

model = dict(
    # The last stage keeps its stride: a 6x6 map of 96 pixels has about the 7x7 places that the
    # paper's points are sampled from; with the usual strides it would be 3x3, less than the grid.
    # Parameters and their names are the same.
    backbone=dict(depth=18, base_channels=32, strides=(1, 2, 2, 1)),
    projector=dict(in_channels=256, hid_channels=256),
    queue=dict(length=512),
    # The teacher must follow faster than over the paper's 500,000 iterations
    teacher=dict(momentum=0.99),
    channels_last=True,
)

train_pipeline = [
    dict(type="LoadRegionImage"),
    dict(type="GridLabels", grid=4),
    dict(type="DrawOverlappingCrops", min_overlap=0.5, crop_ratio_range=(0.2, 1.0)),
    dict(
        type="RegionMultiView",
        pipelines=[
            [dict(type="RegionCrop", window=window, size=96), _base_.flip, *_base_.small_colours]
            for window in (0, 1)
        ],
    ),
    dict(type="SampleRegionPoints", num_points=16, max_regions=16),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
