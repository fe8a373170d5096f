# Regions are the instance masks of COCO train2017. An image with fewer than two masks that both
# views show takes part in the image-level loss alone.
_base_ = "./plrc_r50_8xb32-coslr-100e_in1k.py"

train_pipeline = [
    _base_.load_image,
    dict(type="MaskLabels", ann_file="data/coco/annotations/instances_train2017.json"),
    _base_.draw_crops,
    _base_.two_views,
    dict(type="SampleRegionPoints", num_points=16, max_regions=16),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(
    dataset=dict(region_file="data/coco/regions_train2017.arrow", pipeline=train_pipeline)
)
