"""Metrics: whether pre-training learns, and LVIS's AP of a detector."""

from .lvis_metric import LVISMetric
from .object_knn import knn_accuracy

__all__ = ["LVISMetric", "knn_accuracy"]
