# Mask R-CNN R50-FPN as SoCo, CCOP, PixPro and DenseCL fine-tune it: nothing frozen, SyncBN in
# the backbone, FPN and heads, a box head of 4 convolutions and 1 fc.
_base_ = "mmdet::_base_/models/mask-rcnn_r50_fpn.py"
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(type="Shared4Conv1FCBBoxHead", conv_out_channels=256, norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)
