# Regions are the segments of each image instead of grid cells: from the region file if it has them
# (tools/generate_regions.py --segments), otherwise computed on the fly
_base_ = "./plrc_r50_8xb32-coslr-100e_in1k.py"

train_pipeline = [
    _base_.load_image,
    dict(type="FelzenszwalbLabels"),
    _base_.draw_crops,
    _base_.two_views,
    dict(type="SampleRegionPoints", num_points=16, max_regions=16),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
