import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmregioncon.structures import RegionDataSample, batch_regions


def sample(*counts):
    one = RegionDataSample()
    one.views = [
        InstanceData(boxes=np.full((n, 4), n, np.float32), ids=np.arange(n)) for n in counts
    ]
    return one


def test_a_batch_may_have_any_number_of_regions_an_image():
    batch = batch_regions([sample(1, 2), sample(1, 0), sample(1, 3)], view=1)
    assert batch.rois.shape == (5, 5) and batch.rois.dtype == torch.float32
    assert batch.rois[:, 0].tolist() == [0, 0, 2, 2, 2]
    assert batch.ids.tolist() == [0, 1, 0, 1, 2]
    assert batch.counts == [2, 0, 3]


def test_views_are_instance_data():
    with pytest.raises(TypeError, match="InstanceData"):
        RegionDataSample().views = [np.zeros((1, 4))]
