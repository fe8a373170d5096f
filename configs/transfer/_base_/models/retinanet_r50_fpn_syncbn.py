# RetinaNet R50-FPN: nothing frozen, SyncBN in the backbone and FPN; mmdet's head without norm
_base_ = "mmdet::_base_/models/retinanet_r50_fpn.py"
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
)
