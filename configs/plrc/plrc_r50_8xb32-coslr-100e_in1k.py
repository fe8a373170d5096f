# The paper's recipe: batch 256
_base_ = [
    "../_base_/models/plrc_r50.py",
    "../_base_/datasets/plrc_in1k.py",
    "../_base_/schedules/sgd_bs256_coslr_100e.py",
    "../_base_/default_runtime.py",
]
