"""Which parameters the optimizer gets, and how."""

from mmengine.optim import DefaultOptimWrapperConstructor

from mmregioncon.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class OnlineOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor without the teacher, and with LARS' exclusions by shape.

    One-dimensional parameters (biases and normalisation layers, whatever their names) get no
    weight decay and ``lars_exclude=True``, which other optimizers ignore. ``paramwise_cfg`` works
    as in MMEngine; ``flat_decay_mult=1.0`` in it lets one-dimensional parameters decay, too.
    """

    TEACHERS = ("teacher", "encoder_k")  # ours, and that of mmpretrain's MoCo and DenseCL

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        super().__init__(optim_wrapper_cfg, {"flat_decay_mult": 0.0, **(paramwise_cfg or {})})

    def add_params(self, params, module, prefix="", is_dcn_module=None):
        """Add one group a parameter of ``module`` to ``params``."""
        if prefix.split(".")[0] in self.TEACHERS:
            return
        super().add_params(params, module, prefix, is_dcn_module)
        for group in params:
            if group["params"][0].ndim <= 1:
                group.setdefault("lars_exclude", True)
