# One GPU (or a CPU): batch 64, fp32 (--amp for mixed precision), the fast settings
_base_ = "./detco_r50_8xb32-coslr-100e_in1k.py"

model = dict(channels_last=True)
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=0.0075))
auto_scale_lr = dict(base_batch_size=64)
