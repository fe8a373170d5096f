# From any checkpoint, 90k iterations (1x)
_base_ = [
    "../_base_/models/retinanet_r50_fpn_syncbn.py",
    "mmdet::common/ms-90k_coco.py",
    "../_base_/init/any-p3.py",
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
