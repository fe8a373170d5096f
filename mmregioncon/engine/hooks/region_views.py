"""Pictures of what the model is shown: views with their regions."""

import os.path as osp

import mmcv
import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook

from mmregioncon.registry import HOOKS
from mmregioncon.visualization import draw_views


@HOOKS.register_module()
class RegionViewsHook(Hook):
    """Write ``<work_dir>/views/epoch_<n>.png`` from the first batch of some epochs.

    A row is an image, a column a view; the same colour is the same region. With
    ``colours_on_device``, views are drawn before their changes of colours and cutouts.

    Args:
        interval: every how many epochs.
        num_images: rows.
    """

    def __init__(self, interval=10, num_images=4):
        self.interval = interval
        self.num_images = num_images
        self._drawn = set()

    @master_only
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        """Draw if this epoch is due and not drawn yet."""
        epoch = runner.epoch
        if epoch in self._drawn or epoch % self.interval:
            return
        self._drawn.add(epoch)
        rows = [
            draw_views([view[i].numpy() for view in data_batch["inputs"]], sample)
            for i, sample in enumerate(data_batch["data_samples"][: self.num_images])
        ]
        path = osp.join(runner.work_dir, "views", f"epoch_{epoch}.png")
        mmcv.imwrite(np.concatenate(rows), path)
