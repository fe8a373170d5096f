from copy import deepcopy

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from torch import nn

from mmregioncon.models.modules import MomentumTeacher
from mmregioncon.models.modules.momentum_teacher import cosine_momentum


@pytest.fixture
def hub(monkeypatch):
    """A message hub of this test alone."""
    hub = MessageHub.get_instance("momentum_teacher_test")
    monkeypatch.setattr(MessageHub, "get_current_instance", classmethod(lambda cls: hub))
    hub.runtime_info.clear()
    return hub


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def perturb(model, seed):
    generator = torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


def test_schedule_equals_the_originals(golden):
    data = golden("soco_optim")
    total = int(data["mom_K"])
    ours = [cosine_momentum(int(k), total, 0.99) for k in data["mom_k"]]
    np.testing.assert_allclose(ours, data["mom_values"], rtol=0, atol=1e-12)


def test_the_teacher_counts_its_updates_against_max_iters(golden, hub):
    data = golden("soco_optim")
    hub.update_info("max_iters", int(data["mom_K"]))
    model = network()
    teacher = MomentumTeacher(model, momentum=0.99, end_momentum=1.0)
    seen = []
    for _ in range(20):
        seen.append(teacher.current_momentum())
        teacher.update_parameters(model)
    np.testing.assert_allclose(seen, data["mom_values"][:20], atol=1e-12)
    teacher.steps.fill_(5 * int(data["mom_K"]))  # longer than planned: stays at the end
    assert teacher.current_momentum() == 1.0


def test_the_first_update_copies_and_the_second_averages():
    online = network()
    teacher = MomentumTeacher(online, momentum=0.9)
    perturb(online, 1)
    teacher.update_parameters(online)
    for mine, theirs in zip(teacher.module.parameters(), online.parameters()):
        assert torch.equal(mine, theirs)
    before = deepcopy(list(online.parameters()))
    perturb(online, 2)
    teacher.update_parameters(online)
    for mine, old, new in zip(teacher.module.parameters(), before, online.parameters()):
        torch.testing.assert_close(mine, 0.9 * old + 0.1 * new, check_dtype=False)


def test_equals_mmengines_average_over_many_steps():
    online = network()
    ours = MomentumTeacher(online, momentum=0.97)
    theirs = ExponentialMovingAverage(online, momentum=0.03)
    for step in range(10):
        perturb(online, step)
        ours.update_parameters(online)
        theirs.update_parameters(online)
    for mine, reference in zip(ours.module.parameters(), theirs.module.parameters()):
        torch.testing.assert_close(mine, reference)


def test_buffers_are_the_teachers_own():
    online = network()
    teacher = MomentumTeacher(online, momentum=0.9)
    online(torch.randn(8, 3, 5, 5) + 3)
    teacher.update_parameters(online)
    norm, own = online[1], teacher.module[1]
    assert norm.running_mean.abs().sum() > 0 and norm.num_batches_tracked == 1
    assert torch.equal(own.running_mean, torch.zeros(4)) and own.num_batches_tracked == 0
    teacher.module(torch.randn(8, 3, 5, 5) + 3)
    assert own.num_batches_tracked == 1, "it gathers its own statistics in train mode"


def test_no_gradient_and_no_shared_memory():
    online = network()
    teacher = MomentumTeacher(online)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    pointers = {parameter.data_ptr() for parameter in online.parameters()}
    assert not pointers & {parameter.data_ptr() for parameter in teacher.parameters()}
    teacher.update_parameters(online)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.grad is None for parameter in online.parameters())


def test_state_dict_carries_the_step():
    online = network()
    teacher = MomentumTeacher(online)
    for _ in range(3):
        teacher.update_parameters(online)
    other = MomentumTeacher(network(1))
    other.load_state_dict(teacher.state_dict())
    assert other.steps == 3
    for mine, theirs in zip(other.module.parameters(), teacher.module.parameters()):
        assert torch.equal(mine, theirs)


def test_a_schedule_without_max_iters_is_refused(hub):
    teacher = MomentumTeacher(network(), momentum=0.99, end_momentum=1.0)
    with pytest.raises(RuntimeError, match="end_momentum.*max_iters.*end_momentum=None"):
        teacher.current_momentum()


@pytest.mark.parametrize("momentum", [-0.1, 1.1])
def test_momentum_outside_of_zero_and_one_is_refused(momentum):
    with pytest.raises(ValueError, match=r"model.teacher.momentum=.* \[0, 1\]"):
        MomentumTeacher(network(), momentum=momentum)
