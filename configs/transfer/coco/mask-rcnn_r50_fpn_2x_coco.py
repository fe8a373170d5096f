# From any checkpoint, 180k iterations (2x), 4conv1fc head
_base_ = [
    "../_base_/models/mask-rcnn_r50_fpn_4conv1fc-syncbn.py",
    "../_base_/schedules/180k_coco-instance.py",
    "../_base_/init/any.py",
]
