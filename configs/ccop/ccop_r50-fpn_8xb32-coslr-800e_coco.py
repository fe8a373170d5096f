# The paper's recipe: COCO train2017, batch 256, the noise of the boxes grows linearly
_base_ = [
    "../_base_/models/ccop_r50-fpn.py",
    "../_base_/datasets/ccop_coco.py",
    "../_base_/schedules/sgd_bs256_warmup-coslr_800e.py",
    "../_base_/default_runtime.py",
]

curriculum = dict(
    type="SpatialNoiseCurriculum",
    mode="linear",
    offset=(0.15, 0.6),
    scale=(0.35, 1.4),
    min_iou=(0.8, 0.4),
)
custom_hooks = [*_base_.custom_hooks, curriculum]
