import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmregioncon.engine.hooks import rng_state
from mmregioncon.engine.hooks.rng_state import RNGStateHook, get_rng_state, set_rng_state


@pytest.fixture(autouse=True)
def keep_generators():
    state = get_rng_state()
    yield
    set_rng_state(state)


def draws():
    """Numbers of every generator, those with a cached second half included."""
    return (
        [random.random(), random.gauss(0, 1)],
        [float(np.random.rand()), float(np.random.randn()), int(np.random.randint(1000))],
        torch.rand(3).tolist() + torch.randn(3).tolist(),
    )


def test_round_trip_of_all_generators():
    random.gauss(0, 1), np.random.randn()  # leave a cached half behind
    state = get_rng_state()
    first = draws()
    assert draws() != first
    set_rng_state(state)
    assert draws() == first


def test_a_checkpoint_keeps_it_with_weights_only(tmp_path):
    np.random.randn()
    torch.save(dict(rng_states=[get_rng_state()]), tmp_path / "x.pth")
    first = draws()
    (state,) = torch.load(tmp_path / "x.pth", weights_only=True)["rng_states"]
    set_rng_state(state)
    assert draws() == first


class Warnings(list):
    def warning(self, message):
        self.append(message)


def runner(resume=True):
    return SimpleNamespace(_resume=resume, logger=Warnings(), hooks=[])


def test_hook_saves_what_a_resumed_run_draws_next():
    hook, checkpoint = RNGStateHook(), {}
    hook.after_train_epoch(runner())
    hook.before_save_checkpoint(runner(), checkpoint)
    first = draws()
    resumed = RNGStateHook()
    resumed.after_load_checkpoint(runner(), checkpoint)
    draws()  # whatever building the run draws
    resumed.before_train(runner())
    assert draws() == first


def test_fine_tuning_does_not_take_over_the_states():
    hook, run = RNGStateHook(), runner(resume=False)
    hook.after_load_checkpoint(run, dict(rng_states=[get_rng_state()]))
    first = get_rng_state()
    hook.before_train(run)
    assert torch.equal(get_rng_state()["torch"], first["torch"]) and not run.logger


def test_a_checkpoint_without_states_resumes():
    hook, run = RNGStateHook(), runner()
    hook.after_load_checkpoint(run, {})
    hook.before_train(run)
    assert not run.logger


@pytest.mark.parametrize("saved, now", [(2, 1), (1, 4)])
def test_another_world_size_goes_on_with_a_warning(monkeypatch, saved, now):
    monkeypatch.setattr(rng_state, "get_world_size", lambda: now)
    hook, run = RNGStateHook(), runner()
    hook.after_load_checkpoint(run, dict(rng_states=[get_rng_state()] * saved))
    before = get_rng_state()
    hook.before_train(run)
    assert torch.equal(get_rng_state()["torch"], before["torch"])
    assert len(run.logger) == 1
    assert f"random states of {saved} ranks, this run has {now}" in run.logger[0]
