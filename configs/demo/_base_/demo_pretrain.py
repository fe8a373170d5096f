# What every pre-training on the demo data shares: small views, 350 iterations of 16
_base_ = [
    "../../_base_/datasets/region_loader.py",
    "../../_base_/default_runtime.py",
]

# Weaker colours than the papers': a blur made for 224 pixels leaves nothing of 80.
small_blur = dict(_base_.blur, magnitude_range=(0.1, 0.6), prob=0.2)
small_colours = [_base_.jitter, _base_.grey, small_blur]

train_dataloader = dict(
    batch_size=16, num_workers=1, dataset=dict(region_file="data/demo/regions.arrow")
)
max_epochs = 7
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="OnlineOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.01, fused=True),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min=1e-6,
        T_max=max_epochs - 1,
        begin=1,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs)
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=1, max_keep_ckpts=1))
