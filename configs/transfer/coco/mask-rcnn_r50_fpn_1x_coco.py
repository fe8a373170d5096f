# From any checkpoint, 90k iterations (1x), 4conv1fc head
_base_ = [
    "../_base_/models/mask-rcnn_r50_fpn_4conv1fc-syncbn.py",
    "mmdet::common/ms-poly-90k_coco-instance.py",
    "../_base_/init/any.py",
]
