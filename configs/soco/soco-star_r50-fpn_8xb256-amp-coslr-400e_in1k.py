# SoCo*: a third view at 192 pixels with a crop of its own, the second once more at 112
_base_ = "./soco_r50-fpn_8xb256-amp-coslr-400e_in1k.py"

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
                dict(type="RegionRandomResizedCrop", scale=192, crop_ratio_range=(0.5, 1.0)),
                _base_.flip,
                *_base_.colours_2,
            ],
            [
                dict(type="RegionRandomResizedCrop", scale=112, crop_of=1),
                _base_.flip,
                *_base_.colours_2,
            ],
        ],
    ),
    dict(type="SelectPairRegions", pairs=[(0, 1), (0, 2), (0, 3)], num_regions=4),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
