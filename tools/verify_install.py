"""Verify an installation by using it, and print the versions."""

import importlib
import platform
import sys

# mmdet.models and mmpretrain.models import the compiled ops, their packages alone do not.
MODULES = (
    "numpy", "cv2", "torch", "torchvision", "mmengine", "mmcv", "mmdet.models",
    "mmpretrain.models", "pyarrow", "skimage", "pycocotools.mask", "mmregioncon",
)  # fmt: skip


def check_nms(device):
    """Run mmcv's compiled nms on three boxes, of which two overlap."""
    import torch
    from mmcv.ops import nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], device=device)
    _, keep = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)
    if keep.tolist() != [0, 2]:
        raise RuntimeError(f"mmcv.ops.nms kept boxes {keep.tolist()} on {device}, not [0, 2]")


def check_selective_search():
    """Create OpenCV's selective search, which only the contrib build has."""
    import cv2

    if not hasattr(cv2, "ximgproc"):
        raise RuntimeError(f"OpenCV {cv2.__version__} is not the contrib build: no cv2.ximgproc")
    cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()


def main():
    print(f"  python {platform.python_version()}")
    for name in MODULES:
        importlib.import_module(name)
        package = name.split(".")[0]
        print(f"  {package} {getattr(sys.modules[package], '__version__', 'imports')}")
    import torch

    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    for device in devices:
        check_nms(device)
    check_selective_search()
    print(f"  mmcv.ops.nms runs on {' and '.join(devices)}; cv2.ximgproc is there")


if __name__ == "__main__":
    main()
