# Without pre-training
_base_ = [
    "../_base_/models/mask-rcnn_r50_fpn_4conv1fc-syncbn.py",
    "mmdet::common/ms-poly-90k_coco-instance.py",
]
