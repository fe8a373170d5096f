"""What the tiny models of all methods share: how they are built, a step, what to check after it."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmregioncon.registry import MODELS
from mmregioncon.utils import register_all_modules

CONFIGS = Path(__file__).parents[1] / "configs"
# The momentum copies of our models and of mmpretrain's
COPIES = ("teacher.", "encoder_k.")


def build_tiny(config, changes, seed=0, scope="mmregioncon"):
    """Build the model of a file in configs/; ``changes`` like ``roi_head__key=value``."""
    register_all_modules(init_default_scope=False)
    cfg = deepcopy(_parsed(config))
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    cfg.merge_from_dict({f"model.{key}": value for key, value in changes.items()})
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg.model)


@cache
def _parsed(config):
    """A file takes longer to parse than a tiny model to train."""
    return Config.fromfile(CONFIGS / config)


def randomise_norms(model):
    """Give every norm layer a scale and a shift, so that no branch starts multiplied by zero."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return model


def random_views(rng, batch_size, sizes):
    """Square views ``(B, 3, S, S)``, one of each size."""
    shapes = [(batch_size, 3, size, size) for size in sizes]
    return [torch.from_numpy(rng.normal(size=shape).astype("float32")) for shape in shapes]


def total(losses):
    """Sum of a dict of losses."""
    return sum(losses.values())


def trainable(model):
    """What an optimizer gets."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def step(model, batch):
    """Losses of a batch (the model's arguments), after their backward pass."""
    model.zero_grad()
    losses = model(*batch, mode="loss")
    total(losses).backward()
    return {name: loss.detach() for name, loss in losses.items()}


def finite_step(model, batch):
    """The same; losses and gradients are finite, and DDP finds each of the gradients it awaits."""
    losses = step(model, batch)
    assert all(loss.isfinite() for loss in losses.values()), losses
    for name, grad in online_gradients(model).items():
        assert grad is not None and grad.isfinite().all(), name
    return losses


def online_gradients(model):
    """Gradients by name of the online parameters."""
    return {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if not name.startswith(COPIES)
    }


def untouched(model):
    """Names of the online parameters that got no gradient, or zero."""
    gradients = online_gradients(model)
    return [name for name, grad in gradients.items() if grad is None or not grad.any()]


def check_gradients(model, modules, zero=()):
    """Gradient has reached all that is online, and nothing else.

    Args:
        modules: the online modules with parameters.
        zero: parameters whose gradient may be zero. A bias before BatchNorm has no effect: its
            gradient is rounding noise or zero.
    """
    gradients = online_gradients(model)
    assert {name.split(".")[0] for name in gradients} == set(modules)
    assert set(untouched(model)) <= set(zero)
    assert all(grad.isfinite().all() for grad in gradients.values())
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())


def check_bfloat16(model, batch, **tolerance):
    """Losses under autocast are float32 and close to the exact ones; a step gives gradients."""
    model.eval()
    with torch.no_grad():
        exact = model(*batch, mode="loss")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(*batch, mode="loss")
    for name, loss in exact.items():
        assert half[name].dtype == torch.float32
        assert float(half[name]) == pytest.approx(float(loss), **tolerance), name
    with torch.autocast("cpu", dtype=torch.bfloat16):
        finite_step(model.train(), batch)
