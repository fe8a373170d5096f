"""A model and a data set of MMEngine's kind, for runs of the command line tools."""

import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import nn


@DATASETS.register_module()
class ToyData(BaseDataset):
    def __init__(self, **kwargs):
        super().__init__(serialize_data=False, **kwargs)

    def load_data_list(self):
        return [dict(inputs=torch.full((3, 4, 4), float(i))) for i in range(8)]


@MODELS.register_module()
class ToyNet(BaseModel):
    def __init__(self, channels=2):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, channels, 3), nn.SyncBatchNorm(channels))

    def forward(self, inputs, mode="tensor", **kwargs):
        out = self.layers(torch.stack(list(inputs)))
        return dict(loss=(out - 1).square().mean()) if mode == "loss" else list(out)


@METRICS.register_module()
class ToyMetric(BaseMetric):
    default_prefix = "toy"

    def process(self, data_batch, data_samples):
        self.results += [len(data_samples)]

    def compute_metrics(self, results):
        return dict(images=sum(results))
