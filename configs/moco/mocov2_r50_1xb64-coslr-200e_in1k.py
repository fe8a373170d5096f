# MoCo v2 on one GPU (or a CPU): batch 64, the learning rate in proportion
_base_ = "mocov2_r50_8xb32-coslr-200e_in1k.py"

train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=0.0075))
auto_scale_lr = dict(base_batch_size=64)
