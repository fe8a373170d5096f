# MoCo v2's two views
_base_ = "region_loader.py"

view = [
    dict(type="RegionRandomResizedCrop", scale=224, crop_ratio_range=(0.2, 1.0)),
    _base_.flip,
    *_base_.colours,
]
# large JPEGs are decoded smaller, but the smallest crop still has a view's pixels
load_image = dict(type="LoadRegionImage", min_side=579)
train_pipeline = [
    load_image,
    dict(type="RegionMultiView", pipelines=[view, view]),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(batch_size=32, num_workers=8, dataset=dict(pipeline=train_pipeline))
