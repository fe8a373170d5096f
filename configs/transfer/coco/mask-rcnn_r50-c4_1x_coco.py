# From any checkpoint, 90k iterations (1x)
_base_ = [
    "../_base_/models/mask-rcnn_r50-c4_syncbn.py",
    "mmdet::common/ms-poly-90k_coco-instance.py",
    "../_base_/init/any-c4.py",
]
