# DetCo on ResNet-50: MoCo v2's heads on all four stages, for images and for 9 patches
model = dict(
    type="DetCo",
    backbone=dict(
        type="mmdet.ResNet",
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        style="pytorch",
    ),
    projector=dict(
        type="StageProjector",
        in_channels=[256, 512, 1024, 2048],
        num_patches=9,
        out_channels=128,
    ),
    terms=("gg", "ll", "gl"),
    queue=dict(length=65536),
    head=dict(type="DetCoHead", stage_weights=(0.1, 0.4, 0.7, 1.0), temperature=0.2),
    teacher=dict(momentum=0.999),
)
