# The same detector and budget, from a SoCo checkpoint (backbone, FPN, box head):
#   tools/train.py THIS --cfg-options load_from=work_dirs/.../epoch_N.pth
_base_ = ["faster-rcnn_r18-fpn_demo.py", "../transfer/_base_/init/backbone-neck-head.py"]
