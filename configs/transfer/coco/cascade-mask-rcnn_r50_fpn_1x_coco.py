# From any checkpoint, 90k iterations (1x), mmdet's box heads of 2 fc
_base_ = [
    "../_base_/models/cascade-mask-rcnn_r50_fpn_syncbn.py",
    "mmdet::common/ms-poly-90k_coco-instance.py",
    "../_base_/init/any.py",
]
