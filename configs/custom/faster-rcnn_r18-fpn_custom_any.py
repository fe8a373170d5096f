# From any checkpoint of a ResNet-18: what it has and what fits whole
_base_ = ["_base_/custom_detector.py", "../transfer/_base_/init/any.py"]
