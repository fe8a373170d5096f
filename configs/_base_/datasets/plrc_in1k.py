# PLRC's two crops, which overlap by half at least, and 16 points from each cell of a 4x4 grid
_base_ = "region_loader.py"

draw_crops = dict(type="DrawOverlappingCrops", min_overlap=0.5, crop_ratio_range=(0.2, 1.0))
two_views = dict(
    type="RegionMultiView",
    pipelines=[
        [dict(type="RegionCrop", window=window, size=224), _base_.flip, *_base_.colours]
        for window in (0, 1)
    ],
)
# large JPEGs are decoded smaller, but the smallest crop still has a view's pixels
load_image = dict(type="LoadRegionImage", min_side=579)
train_pipeline = [
    load_image,
    dict(type="GridLabels", grid=4),
    draw_crops,
    two_views,
    dict(type="SampleRegionPoints", num_points=16, max_regions=16),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(batch_size=32, num_workers=8, dataset=dict(pipeline=train_pipeline))
