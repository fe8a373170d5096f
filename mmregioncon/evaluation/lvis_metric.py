"""LVIS's evaluation under NumPy 1.24 and later."""

from unittest import mock

import numpy as np
from mmdet.evaluation import LVISMetric as MMDetLVISMetric

from mmregioncon.registry import METRICS


@METRICS.register_module()
class LVISMetric(MMDetLVISMetric):
    """mmdet's metric, for PyPI's ``lvis`` (0.5.3) asks for ``np.float``, gone since NumPy 1.24."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        """AP of boxes and masks, also of rare, common and frequent categories."""
        with mock.patch.object(np, "float", float, create=True):
            return super().compute_metrics(results)
