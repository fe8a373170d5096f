# From any checkpoint, 12k iterations
_base_ = [
    "../_base_/models/retinanet_r50_fpn_syncbn.py",
    "../_base_/schedules/12k_coco-detection.py",
    "../_base_/init/any-p3.py",
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
