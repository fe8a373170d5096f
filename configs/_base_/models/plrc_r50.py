# PLRC on mmdet's ResNet-50
model = dict(
    type="PLRC",
    backbone=dict(
        type="mmdet.ResNet",
        depth=50,
        num_stages=4,
        out_indices=(3,),
        frozen_stages=-1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        style="pytorch",
    ),
    projector=dict(type="DenseProjector", in_channels=2048, hid_channels=2048, out_channels=128),
    queue=dict(length=65536),
    head=dict(type="PLRCHead"),
    teacher=dict(momentum=0.999),
)
