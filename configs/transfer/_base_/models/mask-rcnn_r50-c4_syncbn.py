# Mask R-CNN R50-C4 (res5 as the shared head of boxes and masks): nothing frozen, SyncBN, and
# the inputs and strides of the pre-training models instead of Caffe's.
_base_ = "mmdet::_base_/models/mask-rcnn_r50-caffe-c4.py"
norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, style="pytorch", init_cfg=None
    ),
    roi_head=dict(shared_head=dict(norm_cfg=norm_cfg, norm_eval=False, style="pytorch")),
)
