# 100 epochs, as in the paper's ablations
_base_ = [
    "../_base_/models/detco_r50.py",
    "../_base_/datasets/detco_in1k.py",
    "../_base_/schedules/sgd_bs256_coslr_100e.py",
    "../_base_/default_runtime.py",
]
