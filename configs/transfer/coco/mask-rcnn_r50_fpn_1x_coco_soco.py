# 90k iterations at batch 16, lr 0.02 (steps 60k, 80k), short side 640-800: mmdet's schedule.
_base_ = [
    "../_base_/models/mask-rcnn_r50_fpn_4conv1fc-syncbn.py",
    "mmdet::common/ms-poly-90k_coco-instance.py",
    "../_base_/init/backbone-neck-head.py",
]
optim_wrapper = dict(optimizer=dict(weight_decay=2.5e-5))
