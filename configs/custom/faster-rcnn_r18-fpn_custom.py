# From SoCo, which pre-trains backbone, FPN and box head
_base_ = ["_base_/custom_detector.py", "../transfer/_base_/init/backbone-neck-head.py"]
