# From a method that pre-trains the backbone alone: PLRC, DetCo, MoCo v2, DenseCL
_base_ = ["_base_/custom_detector.py", "../transfer/_base_/init/backbone.py"]
