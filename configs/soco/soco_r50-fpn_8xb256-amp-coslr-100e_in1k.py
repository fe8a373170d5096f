# The paper's recipe for Mask R-CNN FPN: batch 2048, mixed precision
_base_ = [
    "../_base_/models/soco_r50-fpn.py",
    "../_base_/datasets/soco_in1k.py",
    "../_base_/schedules/lars_bs2048_coslr_100e.py",
    "../_base_/default_runtime.py",
]

optim_wrapper = dict(type="AmpOptimWrapper", loss_scale="dynamic")
