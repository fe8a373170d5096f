"""Which parameters the optimizer gets, and how."""

from mmengine.optim import DefaultOptimWrapperConstructor

from mmregioncon.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class OnlineOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor without the teacher, and with LARS' exclusions by shape.

    One-dimensional parameters (biases and normalisation layers, whatever their names) get no
    weight decay and ``lars_exclude=True``, which other optimizers ignore. ``paramwise_cfg`` works
    as in MMEngine.
    """

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        super().__init__(optim_wrapper_cfg, dict(flat_decay_mult=0.0, **(paramwise_cfg or {})))

    def add_params(self, params, module, prefix="", is_dcn_module=None):
        """Add one group a parameter of ``module`` to ``params``."""
        if prefix.split(".")[0] == "teacher":
            return
        super().add_params(params, module, prefix, is_dcn_module)
        for group in params:
            if group["params"][0].ndim <= 1:
                group.setdefault("lars_exclude", True)
