# Without RandAugment: MoCo v2's colours alone
_base_ = "./detco_r50_8xb32-coslr-200e_in1k.py"

train_pipeline = [
    _base_.load_image,
    dict(
        type="RegionMultiView",
        pipelines=[_base_.image, _base_.image, _base_.patches, _base_.patches],
    ),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
