# CCOP on ResNet-50 and FPN. The RoI head has neither bbox_head nor shared_head: the projector sees
# the flattened 7x7 feature.
_base_ = "./region_r50-fpn.py"

model = dict(
    type="CCOP",
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
