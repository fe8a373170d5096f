# SoCo's three views: the whole image, a crop, and that crop again at half the size
_base_ = "region_loader.py"

three_views = dict(
    type="RegionMultiView",
    pipelines=[
        [dict(type="RegionResize", size=224), _base_.flip, *_base_.colours_1],
        [
            dict(type="RegionRandomResizedCrop", scale=224, crop_ratio_range=(0.5, 1.0)),
            _base_.flip,
            *_base_.colours_2,
        ],
        [
            dict(type="RegionRandomResizedCrop", scale=112, crop_of=1),
            _base_.flip,
            *_base_.colours_2,
        ],
    ],
)
choose_regions = dict(type="SelectPairRegions", pairs=[(0, 1), (0, 2)], num_regions=4)
# large JPEGs are decoded smaller, but the smallest crop still has a view's pixels
load_image = dict(type="LoadRegionImage", min_side=366)
train_pipeline = [
    load_image,
    three_views,
    choose_regions,
    dict(type="RegionCutout", views=(1, 2)),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
