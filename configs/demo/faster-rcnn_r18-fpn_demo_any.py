# The same detector and budget, from any checkpoint of the demo: what it has and what fits whole
#   tools/train.py THIS --cfg-options load_from=work_dirs/.../epoch_N.pth
_base_ = ["faster-rcnn_r18-fpn_demo.py", "../transfer/_base_/init/any.py"]
