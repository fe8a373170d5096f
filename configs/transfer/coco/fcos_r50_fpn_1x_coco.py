# From any checkpoint; FCOS with mmdet's own recipe (12 epochs, short side 800, lr 0.01), but
# nothing frozen, SyncBN in the backbone and FPN, and the pre-training's inputs and strides.
_base_ = ["mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", "../_base_/init/any-p3.py"]
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, style="pytorch", init_cfg=None
    ),
    neck=dict(norm_cfg=norm_cfg),
)
