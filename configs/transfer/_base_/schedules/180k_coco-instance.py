# 180k iterations of 16 images (steps at 120k, 160k), else as mmdet's 90k
_base_ = "mmdet::common/ms-poly-90k_coco-instance.py"
max_iter = 180000
train_cfg = dict(max_iters=max_iter)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iter, milestones=[120000, 160000])
