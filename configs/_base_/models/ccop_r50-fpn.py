# CCOP on ResNet-50 and FPN: mmdet's modules, mmdet's names
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="CCOP",
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
    # neither bbox_head nor shared_head: the projector sees the flattened 7x7 feature
    roi_head=dict(
        type="RegionRoIHead",
        bbox_roi_extractor=dict(
            type="ScaleAwareRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
        ),
    ),
    projector=dict(
        type="DropoutMLP", in_channels=2048, hid_channels=2048, out_channels=128, dropout=0.1
    ),
    roi_projector=dict(
        type="DropoutMLP", in_channels=12544, hid_channels=2048, out_channels=128, dropout=0.1
    ),
    head=dict(
        type="CCOPHead", weights=(1.0, 1.0, 1.0), temperature=0.2, margin=0.4, disjoint_iou=0.05
    ),
    queue=dict(length=65536),
    roi_queue=dict(length=65536),
    num_jitters=10,
    # where the curriculum starts; the SpatialNoiseCurriculum hook moves it
    noise=dict(offset=0.15, scale=0.35, min_iou=0.8),
    positive="hardest",
    teacher=dict(momentum=0.999),
)
