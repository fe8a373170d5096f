from .dense_projector import DenseProjector, PrototypeHead
from .dropout_mlp import DropoutMLP
from .stage_projector import StageProjector

__all__ = ["DenseProjector", "DropoutMLP", "PrototypeHead", "StageProjector"]
