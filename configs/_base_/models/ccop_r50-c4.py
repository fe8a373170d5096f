# CCOP for C4 detectors: RoIAlign on res4, res5 as the shared head of the RoIs and of the image
_base_ = "./ccop_r50-fpn.py"

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    backbone=dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)),
    neck=None,
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
            out_channels=1024,
            featmap_strides=[16],
        ),
        shared_head=dict(
            type="mmdet.ResLayer",
            depth=50,
            stage=3,
            stride=2,
            dilation=1,
            style="pytorch",
            norm_cfg=norm_cfg,
            norm_eval=False,
        ),
    ),
    roi_projector=dict(in_channels=2048),
)
