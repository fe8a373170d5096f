# ResNet-50, FPN and RoIAlign on P2..P5: mmdet's modules, mmdet's names
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    backbone=dict(
        type="mmdet.ResNet",
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style="pytorch",
    ),
    neck=dict(
        type="RegionFPN",
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=4,
        norm_cfg=norm_cfg,
    ),
    roi_head=dict(
        type="RegionRoIHead",
        bbox_roi_extractor=dict(
            type="ScaleAwareRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
        ),
    ),
)
