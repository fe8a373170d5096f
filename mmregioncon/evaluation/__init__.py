"""Metrics: whether pre-training learns, LVIS's AP of a detector, recall of regions."""

from .lvis_metric import LVISMetric
from .object_knn import knn_accuracy
from .region_recall import average_recall, best_overlaps, size_classes

__all__ = ["LVISMetric", "average_recall", "best_overlaps", "knn_accuracy", "size_classes"]
