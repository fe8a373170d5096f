# LARS, learning rate 1.0 x batch / 256, 10 epochs of warm-up from a hundredth, cosine
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="OnlineOptimWrapperConstructor",
    optimizer=dict(type="ForeachLARS", lr=8.0, momentum=0.9, weight_decay=1e-5, eta=0.001),
)
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
        T_max=90,
        by_epoch=True,
        begin=10,
        end=100,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=100)
auto_scale_lr = dict(enable=False, base_batch_size=2048)
