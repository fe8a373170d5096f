# DenseCL on the demo data: as MoCo v2, with its own neck and loss
_base_ = "mocov2_r18_demo.py"

model = dict(
    type="mmpretrain.DenseCL",
    loss_lambda=0.5,
    # No stride in the last stage: 3 x 3 places are too few to tell apart.
    backbone=dict(strides=(1, 2, 2, 1)),
    neck=dict(
        _delete_=True,
        type="mmpretrain.DenseCLNeck",
        in_channels=256,
        hid_channels=256,
        out_channels=128,
        num_grid=None,
    ),
)
