"""The momentum copy of the online network."""

from math import cos, pi

import torch
from mmengine.model import BaseAveragedModel
from torch import nn

from mmregioncon.registry import MODELS

from .schedule import total_iterations


def cosine_momentum(step, total, start, end=1.0):
    """Momentum m_k = end - (end - start) (cos(pi k / K) + 1) / 2 (BYOL; SoCo, section 3.3)."""
    return end - (end - start) * (cos(pi * step / total) + 1) / 2


@MODELS.register_module()
class MomentumTeacher(BaseAveragedModel):
    """Momentum average of online modules, without gradient and outside the optimizer.

    Parameters follow the online ones: ``teacher = m * teacher + (1 - m) * online``, the first
    update copies them. Buffers (BatchNorm's running statistics) are the teacher's own: they come
    from its own forward passes, never from the online network.

    Args:
        model: the modules to copy, e.g. an ``nn.ModuleDict``.
        momentum: the paper's m at the start (close to 1).
        end_momentum: m at the end of training, reached by a cosine; ``None`` keeps it constant.
            The schedule counts updates against MMEngine's ``max_iters``.
    """

    def __init__(self, model, momentum=0.99, end_momentum=None):
        super().__init__(model)
        if not 0 <= momentum <= 1:
            raise ValueError(f"model.teacher.momentum={momentum} must lie in [0, 1]")
        self.momentum = momentum
        self.end_momentum = end_momentum

    def current_momentum(self):
        """The m of the next update."""
        if self.end_momentum is None:
            return self.momentum
        total = total_iterations("model.teacher.end_momentum", "end_momentum=None")
        step = min(int(self.steps), total)
        return cosine_momentum(step, total, self.momentum, self.end_momentum)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module):
        """Move towards the parameters of ``model``, one fused operation for all of them."""
        teacher, online = list(self.module.parameters()), list(model.parameters())
        weight = 1.0 if self.steps == 0 else 1 - self.current_momentum()
        torch._foreach_lerp_(teacher, online, weight)
        self.steps += 1

    def avg_func(self, averaged_param, source_param, steps):
        """One parameter's update; :meth:`update_parameters` does all of them at once."""
        averaged_param.lerp_(source_param, 1 - self.current_momentum())
