"""What runs beside the model: hooks and how the optimizer is set up."""

from . import hooks, optimizers

__all__ = ["hooks", "optimizers"]
