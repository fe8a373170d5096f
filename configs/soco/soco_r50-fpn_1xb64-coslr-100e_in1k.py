# One GPU (or a CPU): batch 64, fp32 (--amp for mixed precision), the fast settings
_base_ = [
    "../_base_/models/soco_r50-fpn.py",
    "../_base_/datasets/soco_in1k.py",
    "../_base_/schedules/lars_bs2048_coslr_100e.py",
    "../_base_/default_runtime.py",
]

model = dict(channels_last=True, skip_unused_levels=True)
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=0.25))
auto_scale_lr = dict(base_batch_size=64)
