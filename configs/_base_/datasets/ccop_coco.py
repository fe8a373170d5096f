# CCOP's two crops of a COCO image, drawn until they have a box in common
_base_ = "region_loader.py"

region_file = "data/coco/regions_train2017_ccop.arrow"
# a box stays if so much of it is inside both crops, and larger than so many pixels of the views
stays = dict(min_visible=0.6, min_area=144)
blur_7x7 = dict(_base_.half_blur, kernel_size=7)
# large JPEGs are decoded smaller, but the smallest crop still has a view's pixels
load_image = dict(type="LoadRegionImage", min_side=818)
train_pipeline = [
    load_image,
    dict(
        type="DrawRegionCrops",
        size=224,
        crop_ratio_range=(0.1, 1.0),
        aspect_ratio_range=(3 / 4, 4 / 3),
        max_tries=10,
        **stays,
    ),
    dict(
        type="RegionMultiView",
        pipelines=[
            [
                dict(type="RegionCrop", window=window, size=224),
                _base_.flip,
                _base_.jitter,
                _base_.grey,
                blur_7x7,
            ]
            for window in (0, 1)
        ],
    ),
    dict(type="CommonRegions", max_regions=100, swap_prob=0.5, **stays),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    dataset=dict(region_file=region_file, pipeline=train_pipeline),
)
