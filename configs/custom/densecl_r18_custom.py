# DenseCL on your unlabelled images: as MoCo v2, with its own neck and loss
_base_ = "mocov2_r18_custom.py"

model = dict(
    type="mmpretrain.DenseCL",
    loss_lambda=0.5,
    neck=dict(
        _delete_=True,
        type="mmpretrain.DenseCLNeck",
        in_channels=512,
        hid_channels=512,
        out_channels=128,
        num_grid=None,
    ),
)
