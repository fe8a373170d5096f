# SoCo on the demo data with a quarter of ResNet-18's widths: small enough to release
# (configs/demo/checkpoints)
_base_ = "soco_r18-fpn_demo.py"
model = dict(backbone=dict(base_channels=16), neck=dict(in_channels=[16, 32, 64, 128]))
