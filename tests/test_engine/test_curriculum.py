import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmregioncon.engine.hooks import SpatialNoiseCurriculum
from mmregioncon.models.modules import BoxNoise
from mmregioncon.utils import register_all_modules


def noise_set(hook, iteration, max_iters):
    runner = SimpleNamespace(model=SimpleNamespace(), iter=iteration, max_iters=max_iters)
    hook.before_train_iter(runner, 0)
    return runner.model.noise


def test_same_as_the_release(golden):
    data = golden("ccop_queue_curriculum")
    total = int(data["curr_total_step"])
    found = [noise_set(SpatialNoiseCurriculum(), int(step), total) for step in data["curr_iter"]]
    for name, key in (("offset", "mag_xy"), ("scale", "mag_wh"), ("min_iou", "iou_thr")):
        ours = [getattr(noise, name) for noise in found]
        np.testing.assert_allclose(ours, data[f"curr_{key}"], atol=1e-6)


@pytest.mark.parametrize(
    "mode, progress, expected",
    [
        ("linear", 0.0, BoxNoise(0.1, 0.2, 0.9)),
        ("linear", 0.5, BoxNoise(0.2, 0.4, 0.7)),
        ("linear", 1.0, BoxNoise(0.3, 0.6, 0.5)),
        ("fixed", 0.5, BoxNoise(0.1, 0.2, 0.9)),
        ("off", 0.5, None),
    ],
)
def test_modes_and_end_points(mode, progress, expected):
    hook = SpatialNoiseCurriculum(mode, offset=(0.1, 0.3), scale=(0.2, 0.6), min_iou=(0.9, 0.5))
    assert hook.noise(progress) == (expected and pytest.approx(expected))


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="SpatialNoiseCurriculum.mode='cosine' must be one of"):
        SpatialNoiseCurriculum(mode="cosine")


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, inputs, mode="tensor"):
        self.seen.append(self.noise.offset)
        return dict(loss=self.weight.sum())


class StopBefore(Hook):
    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            raise KeyboardInterrupt


def offsets(work_dir, name, hooks=(), **kwargs):
    """The offsets a run of eight iterations (four epochs) sees."""
    register_all_modules(init_default_scope=False)
    model = Model()
    runner = Runner(
        model,
        str(work_dir),
        train_dataloader=torch.utils.data.DataLoader([dict(inputs=torch.ones(1))] * 2),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        train_cfg=dict(by_epoch=True, max_epochs=4),
        default_hooks=dict(logger=None, checkpoint=dict(type="CheckpointHook", interval=1)),
        custom_hooks=[SpatialNoiseCurriculum(offset=(0, 8)), *hooks],
        experiment_name=name,
        default_scope="mmregioncon",
        **kwargs,
    )
    with contextlib.suppress(KeyboardInterrupt):
        runner.train()
    return model.seen


def test_a_resumed_run_goes_on_where_it_stopped(tmp_path):
    assert offsets(tmp_path / "whole", "whole") == list(range(8))
    assert offsets(tmp_path / "cut", "cut", [StopBefore(4)]) == [0, 1, 2, 3]
    assert offsets(tmp_path / "cut", "resumed", resume=True) == [4, 5, 6, 7]
