# From any checkpoint, 180k iterations (2x)
_base_ = [
    "../_base_/models/mask-rcnn_r50-c4_syncbn.py",
    "../_base_/schedules/180k_coco-instance.py",
    "../_base_/init/any-c4.py",
]
