# From any checkpoint; VOC 2007+2012 trainval -> 2007 test, 24k iterations of 16 images (steps at
# 18k, 22k), lr 0.02, short side 480-800; nothing frozen, SyncBN, and one more norm after res5.
# AP is the mean over IoU .50:.95, with VOC's 11 points.
_base_ = [
    "mmdet::pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py",
    "../_base_/init/any-c4.py",
]
custom_imports = dict(imports=["mmregioncon", "mmpretrain.models"])  # for ResLayerExtraNorm
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, style="pytorch", init_cfg=None
    ),
    roi_head=dict(
        shared_head=dict(
            type="ResLayerExtraNorm",
            norm_cfg=norm_cfg,
            norm_eval=False,
            style="pytorch",
            init_cfg=None,
        ),
    ),
)
train_dataloader = dict(dataset=dict(ignore_keys=["dataset_type"]))
val_evaluator = dict(iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
test_evaluator = val_evaluator

max_iter = 24000
train_cfg = dict(max_iters=max_iter)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iter, milestones=[18000, 22000])
