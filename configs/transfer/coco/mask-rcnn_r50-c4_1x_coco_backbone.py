# From any ResNet-50: res5 becomes the shared head
_base_ = [
    "../_base_/models/mask-rcnn_r50-c4_syncbn.py",
    "mmdet::common/ms-poly-90k_coco-instance.py",
    "../_base_/init/backbone-to-c4.py",
]
