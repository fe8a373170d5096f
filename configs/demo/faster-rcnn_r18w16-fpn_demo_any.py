# The demo's detector at a quarter of ResNet-18's widths, from the released checkpoint:
#   tools/train.py THIS --cfg-options load_from=configs/demo/checkpoints/FILE
_base_ = "faster-rcnn_r18-fpn_demo_any.py"
model = dict(backbone=dict(base_channels=16), neck=dict(in_channels=[16, 32, 64, 128]))
