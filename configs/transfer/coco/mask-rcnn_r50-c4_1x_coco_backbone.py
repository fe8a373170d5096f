# From any ResNet-50: res5 becomes the shared head
_base_ = "mask-rcnn_r50-c4_1x_coco.py"
