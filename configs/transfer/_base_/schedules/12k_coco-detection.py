# 12k iterations of 16 images (steps at 9k, 11k), else as mmdet's 90k
_base_ = "mmdet::common/ms-90k_coco.py"
max_iter = 12000
train_cfg = dict(max_iters=max_iter, val_interval=6000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iter, milestones=[9000, 11000])
default_hooks = dict(checkpoint=dict(interval=6000))
