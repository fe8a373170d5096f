"""What a notebook user calls."""

from .model_zoo import ModelInfo, list_models, load_pretrained, model_index

__all__ = ["ModelInfo", "list_models", "load_pretrained", "model_index"]
