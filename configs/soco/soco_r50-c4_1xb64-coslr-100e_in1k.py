# One GPU (or a CPU): batch 64, fp32 (--amp for mixed precision), the fast settings
_base_ = "./soco_r50-c4_8xb256-amp-coslr-100e_in1k.py"

model = dict(channels_last=True, roi_head=dict(shared_head=dict(type="RegionResLayer")))
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    constructor="OnlineOptimWrapperConstructor",
    optimizer=dict(type="ForeachLARS", lr=0.25, momentum=0.9, weight_decay=1e-5, eta=0.001),
)
auto_scale_lr = dict(base_batch_size=64)
