# From any checkpoint, 90k iterations (1x), the 2-fc head of DetCo's tables
_base_ = [
    "../_base_/models/mask-rcnn_r50_fpn_2fc-syncbn.py",
    "mmdet::common/ms-poly-90k_coco-instance.py",
    "../_base_/init/any.py",
]
