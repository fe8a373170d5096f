from .stage_projector import StageProjector

__all__ = ["StageProjector"]
