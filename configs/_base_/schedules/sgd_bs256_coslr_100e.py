# As over 200 epochs, in 100
_base_ = "sgd_bs256_coslr_200e.py"

max_epochs = 100
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
