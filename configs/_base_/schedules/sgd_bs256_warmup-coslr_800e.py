# SGD, learning rate 0.3 for batch 256, 10 epochs of linear warm-up, cosine to 0
max_epochs = 800
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="OnlineOptimWrapperConstructor",
    optimizer=dict(type="SGD", lr=0.3, momentum=0.9, weight_decay=1e-4, fused=True),
    paramwise_cfg=dict(flat_decay_mult=1.0),  # as MoCo: biases and BN decay, too
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.001,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min=0.0,
        T_max=max_epochs - 10,
        by_epoch=True,
        begin=10,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs)
auto_scale_lr = dict(enable=False, base_batch_size=256)
