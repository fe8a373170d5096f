"""Boxes of the key view are jittered more and more (CCOP, arXiv 2111.13651)."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmregioncon.models.modules import BoxNoise, noise_at
from mmregioncon.registry import HOOKS

MODES = ("off", "fixed", "linear")


@HOOKS.register_module()
class SpatialNoiseCurriculum(Hook):
    """Set the model's ``noise`` before each iteration.

    It depends on iteration / max_iters alone, so that a resumed run goes on where it stopped.

    Args:
        mode: ``"linear"`` from start to end; ``"fixed"`` keeps the start; ``"off"`` jitters no
            box.
        offset: start and end of :attr:`BoxNoise.offset`.
        scale: start and end of :attr:`BoxNoise.scale`.
        min_iou: start and end of :attr:`BoxNoise.min_iou`.
    """

    def __init__(self, mode="linear", offset=(0.15, 0.6), scale=(0.35, 1.4), min_iou=(0.8, 0.4)):
        if mode not in MODES:
            raise ValueError(f"SpatialNoiseCurriculum.mode={mode!r} must be one of {MODES}")
        self.mode = mode
        self.start, self.end = (BoxNoise(*ends) for ends in zip(offset, scale, min_iou))

    def noise(self, progress):
        """The :class:`BoxNoise` at ``progress`` in [0, 1], or ``None`` for no jitter."""
        if self.mode == "off":
            return None
        return noise_at(progress if self.mode == "linear" else 0.0, self.start, self.end)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        """Set the noise of this iteration."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.noise = self.noise(runner.iter / runner.max_iters)
