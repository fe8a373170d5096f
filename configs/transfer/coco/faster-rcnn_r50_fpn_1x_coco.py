# From any checkpoint, 90k iterations (1x), 4conv1fc head
_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_4conv1fc-syncbn.py",
    "mmdet::common/ms-90k_coco.py",
    "../_base_/init/any.py",
]
