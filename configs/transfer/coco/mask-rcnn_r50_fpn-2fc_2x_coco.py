# From any checkpoint, 180k iterations (2x), the 2-fc head of DetCo's tables
_base_ = [
    "../_base_/models/mask-rcnn_r50_fpn_2fc-syncbn.py",
    "../_base_/schedules/180k_coco-instance.py",
    "../_base_/init/any.py",
]
