# Faster R-CNN R50-FPN: nothing frozen, SyncBN in the backbone, FPN and a box head that SoCo's fits
_base_ = "mmdet::_base_/models/faster-rcnn_r50_fpn.py"
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(type="Shared4Conv1FCBBoxHead", conv_out_channels=256, norm_cfg=norm_cfg),
    ),
)
