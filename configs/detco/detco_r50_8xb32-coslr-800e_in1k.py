# 800 epochs, the paper's best
_base_ = "./detco_r50_8xb32-coslr-200e_in1k.py"

max_epochs = 800
param_scheduler = [
    dict(
        type="CosineAnnealingLR",
        eta_min=0.0,
        T_max=max_epochs,
        by_epoch=True,
        begin=0,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=max_epochs)
