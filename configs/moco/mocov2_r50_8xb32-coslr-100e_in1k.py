# MoCo v2 for as long as PLRC and DetCo's ablations: 100 epochs, batch 256 on 8 GPUs
_base_ = [
    "../_base_/models/mocov2_r50.py",
    "../_base_/datasets/moco_in1k.py",
    "../_base_/schedules/sgd_bs256_coslr_100e.py",
    "../_base_/default_runtime.py",
]
