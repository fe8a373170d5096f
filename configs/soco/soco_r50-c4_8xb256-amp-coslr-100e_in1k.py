# The paper's recipe for Mask R-CNN C4: two views, RoIAlign on res4
_base_ = [
    "../_base_/models/soco_r50-c4.py",
    "../_base_/datasets/soco_in1k.py",
    "../_base_/schedules/lars_bs2048_coslr_100e.py",
    "../_base_/default_runtime.py",
]

train_pipeline = [
    _base_.load_image,
    dict(
        type="RegionMultiView",
        pipelines=[
            [dict(type="RegionResize", size=224), _base_.flip, *_base_.colours_1],
            [
                dict(type="RegionRandomResizedCrop", scale=224, crop_ratio_range=(0.6, 1.0)),
                _base_.flip,
                *_base_.colours_2,
            ],
        ],
    ),
    dict(type="SelectPairRegions", pairs=[(0, 1)], num_regions=4),
    dict(type="RegionCutout", views=(1,)),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(type="AmpOptimWrapper", loss_scale="dynamic")
