# The paper's recipe: RandAugment on the images, 200 epochs
_base_ = [
    "../_base_/models/detco_r50.py",
    "../_base_/datasets/detco_in1k.py",
    "../_base_/schedules/sgd_bs256_coslr_200e.py",
    "../_base_/default_runtime.py",
]
