# For Mask R-CNN C4: RoIAlign on res4, res5 as the head of RoIs and images
_base_ = [
    "../_base_/models/ccop_r50-c4.py",
    "../_base_/datasets/ccop_coco.py",
    "../_base_/schedules/sgd_bs256_warmup-coslr_800e.py",
    "../_base_/default_runtime.py",
]

custom_hooks = [*_base_.custom_hooks, dict(type="SpatialNoiseCurriculum")]
