# What the authors' release does: a third view with a crop of its own, and every box embedded on
# all levels (four times the head's work, for BatchNorm's statistics alone)
_base_ = "./soco_r50-fpn_8xb256-amp-coslr-100e_in1k.py"

model = dict(roi_head=dict(embed_all_levels=True))
train_pipeline = [
    _base_.load_image,
    dict(
        type="RegionMultiView",
        pipelines=[
            [dict(type="RegionResize", size=224), _base_.flip, *_base_.colours_1],
            [
                dict(type="RegionRandomResizedCrop", scale=224, crop_ratio_range=(0.5, 1.0)),
                _base_.flip,
                *_base_.colours_2,
            ],
            [
                dict(type="RegionRandomResizedCrop", scale=112, crop_ratio_range=(0.5, 1.0)),
                _base_.flip,
                *_base_.colours_2,
            ],
        ],
    ),
    _base_.choose_regions,
    dict(type="RegionCutout", views=(1, 2)),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
