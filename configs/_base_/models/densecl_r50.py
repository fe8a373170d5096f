# DenseCL: mmpretrain's algorithm and neck
_base_ = "mocov2_r50.py"

model = dict(
    type="mmpretrain.DenseCL",
    loss_lambda=0.5,
    neck=dict(
        _delete_=True,
        type="mmpretrain.DenseCLNeck",
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        num_grid=None,
    ),
)
