# DenseCL on COCO with CCOP's schedule (and its region file, of which only the images are used)
_base_ = [
    "../_base_/models/densecl_r50.py",
    "../_base_/datasets/moco_in1k.py",
    "../_base_/schedules/sgd_bs256_warmup-coslr_800e.py",
    "../_base_/default_runtime.py",
]

train_dataloader = dict(dataset=dict(region_file="data/coco/regions_train2017_ccop.arrow"))
