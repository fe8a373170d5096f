# From torchvision's ImageNet classifier, which mmdet downloads
_base_ = "mask-rcnn_r50_fpn_1x_coco_random.py"
model = dict(
    backbone=dict(
        init_cfg=dict(_delete_=True, type="Pretrained", checkpoint="torchvision://resnet50")
    )
)
