"""The demo data set: scenes drawn at run time, with boxes in COCO format."""

from .build import make_demo_data
from .objects import CLASSES
from .scenes import Scene, render_scene

__all__ = ["CLASSES", "Scene", "make_demo_data", "render_scene"]
