# Mask R-CNN R50-FPN as DetCo's tables have it: the plain box head of 2 fc, else as the other one
_base_ = "mask-rcnn_r50_fpn_4conv1fc-syncbn.py"
model = dict(
    roi_head=dict(
        bbox_head=dict(
            _delete_=True,
            type="mmdet.Shared2FCBBoxHead",
            in_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            num_classes=80,
            bbox_coder=dict(
                type="mmdet.DeltaXYWHBBoxCoder",
                target_means=[0.0, 0.0, 0.0, 0.0],
                target_stds=[0.1, 0.1, 0.2, 0.2],
            ),
            reg_class_agnostic=False,
            loss_cls=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type="mmdet.L1Loss", loss_weight=1.0),
        ),
    ),
)
