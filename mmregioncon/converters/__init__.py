"""Checkpoints from and to other projects, and publishing."""

from .convert import Conversion, detect_source, from_detector, to_detector
from .files import CheckpointError, encode_checkpoint, find_tensors, read_checkpoint, write_file
from .modules import DetectorModules
from .naming import SOURCES, TARGETS

__all__ = [
    "SOURCES",
    "TARGETS",
    "CheckpointError",
    "Conversion",
    "DetectorModules",
    "detect_source",
    "encode_checkpoint",
    "find_tensors",
    "from_detector",
    "read_checkpoint",
    "to_detector",
    "write_file",
]
