"""Metrics that say during pre-training whether it learns."""

from .object_knn import knn_accuracy

__all__ = ["knn_accuracy"]
