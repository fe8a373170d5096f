# MoCo's: SGD, learning rate 0.03 for batch 256, cosine to 0, no warm-up
max_epochs = 200
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="OnlineOptimWrapperConstructor",
    optimizer=dict(type="SGD", lr=0.03, momentum=0.9, weight_decay=1e-4, fused=True),
    paramwise_cfg=dict(flat_decay_mult=1.0),  # as MoCo: biases and BN decay, too
)
param_scheduler = [
    dict(
        type="CosineAnnealingLR",
        eta_min=0.0,
        T_max=max_epochs,
        by_epoch=True,
        begin=0,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs)
auto_scale_lr = dict(enable=False, base_batch_size=256)
