# From any checkpoint, its backbone alone; DINO with mmdet's own recipe (12 epochs, AdamW), but
# nothing frozen and SyncBN in the backbone.
_base_ = ["mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py", "../_base_/init/any.py"]
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
)
