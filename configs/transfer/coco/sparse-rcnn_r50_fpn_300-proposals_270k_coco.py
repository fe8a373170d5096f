# From any checkpoint; Sparse R-CNN as DetCo fine-tunes it: 300 proposals, random crops, AdamW
# 2.5e-5, 270k iterations of 16 images (steps at 210k, 250k), nothing frozen, SyncBN.
_base_ = [
    "mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_300-proposals_crop-ms-480-800-3x_coco.py",
    "../_base_/init/any.py",
]
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
)
max_iter = 270000
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=max_iter, val_interval=10000)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=1000),
    dict(
        type="MultiStepLR",
        begin=0,
        end=max_iter,
        by_epoch=False,
        milestones=[210000, 250000],
        gamma=0.1,
    ),
]
train_dataloader = dict(sampler=dict(type="InfiniteSampler"))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
