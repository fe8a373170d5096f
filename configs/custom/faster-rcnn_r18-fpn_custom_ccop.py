# From CCOP, which pre-trains backbone and FPN
_base_ = ["_base_/custom_detector.py", "../transfer/_base_/init/backbone-neck.py"]
