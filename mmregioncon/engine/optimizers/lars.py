"""mmpretrain's LARS without its two waits for the device a parameter."""

import torch
from mmpretrain.engine.optimizers import LARS

from mmregioncon.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class ForeachLARS(LARS):
    """:class:`mmpretrain.LARS` over lists of tensors: one wait for the device a step, not two a
    parameter, and fewer passes over memory.

    Arguments, state and updates are the parent's, to rounding. Nesterov momentum and dampening
    are not supported.

    Raises:
        ValueError: one of them is asked for.
    """

    def __init__(self, params, *args, **kwargs):
        super().__init__(params, *args, **kwargs)
        if any(group["nesterov"] or group["dampening"] for group in self.param_groups):
            raise ValueError(
                "ForeachLARS knows neither nesterov nor dampening: set "
                "optim_wrapper.optimizer.type='mmpretrain.LARS', or leave them out"
            )

    @torch.no_grad()
    def step(self, closure=None):
        """Update all parameters that have a gradient; returns the loss of ``closure``, if any."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        pairs = [(p, group) for group in self.param_groups for p in group["params"]]
        pairs = [(p, group) for p, group in pairs if p.grad is not None]
        if not pairs:
            return loss
        params, groups = zip(*pairs)
        rates = self._rates(params, groups)
        decays = [rate * group["weight_decay"] for rate, group in zip(rates, groups)]

        updates = torch._foreach_mul([p.grad for p in params], rates)
        torch._foreach_add_(updates, torch._foreach_mul(params, decays))
        buffers = self._buffers(params)
        torch._foreach_mul_(buffers, [group["momentum"] for group in groups])
        torch._foreach_add_(buffers, updates)
        torch._foreach_sub_(params, buffers)
        return loss

    def _rates(self, params, groups):
        """The learning rate of each parameter: local (LARS) times global."""
        norms = torch._foreach_norm(params) + torch._foreach_norm([p.grad for p in params])
        norms = torch.stack([norm.float() for norm in norms]).tolist()
        rates = []
        for group, weight, grad in zip(groups, norms, norms[len(params) :]):
            local = 1.0
            if not group.get("lars_exclude", False) and weight != 0 and grad != 0:
                local = group["eta"] * weight
                local /= grad + group["weight_decay"] * weight + self.eps
            rates.append(local * group["lr"])
        return rates

    def _buffers(self, params):
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        return [self.state[p]["momentum_buffer"] for p in params]
