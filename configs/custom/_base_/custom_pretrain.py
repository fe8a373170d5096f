# What every pre-training on your own images shares: AdamW, batch 64, one GPU or a CPU
_base_ = [
    "../../_base_/datasets/region_loader.py",
    "../../_base_/default_runtime.py",
    "../my_data.py",
]

data = _base_.data
train_dataloader = dict(
    batch_size=64, num_workers=2, dataset=dict(region_file=data.root + data.region_file)
)

max_epochs = 100
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
auto_scale_lr = dict(enable=False, base_batch_size=64)
default_hooks = dict(logger=dict(interval=10))
