# One GPU (or a CPU): batch 64, the fast settings
_base_ = "./ccop_r50-fpn_8xb32-coslr-800e_coco.py"

model = dict(channels_last=True, skip_unused_levels=True)
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=0.075))
auto_scale_lr = dict(base_batch_size=64)
