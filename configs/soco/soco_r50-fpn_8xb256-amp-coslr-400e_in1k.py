# 400 epochs: no cutout
_base_ = "./soco_r50-fpn_8xb256-amp-coslr-100e_in1k.py"

train_pipeline = [
    _base_.load_image,
    _base_.three_views,
    _base_.choose_regions,
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min=1e-6,
        T_max=390,
        by_epoch=True,
        begin=10,
        end=400,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=400)
