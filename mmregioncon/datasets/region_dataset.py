"""The pre-training data set: images and their regions, read from a RegionStore."""

import logging
import os.path as osp

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmregioncon.regions import RegionStore, RegionStoreError
from mmregioncon.registry import DATASETS, TRANSFORMS

from .transforms.loading import BadImageError


@DATASETS.register_module()
class RegionDataset(BaseDataset):
    """Images of a region file; nothing but indices is held in memory.

    An item enters the pipeline as ``img_path``, ``height``, ``width``, ``boxes`` ``(K, 4)``
    float32 xyxy in original-image pixels, ``region_ids`` ``(K,)`` int64 (row order), ``segments``
    (a packed label map, or ``None``) and ``sample_idx``. An image that cannot be read is replaced
    by another one, logged and counted; the count is shared by the workers of a loader.

    Args:
        region_file: Arrow file written by ``tools/generate_regions.py``.
        data_root: folder of the images; overrides the root kept in the region file.
        pipeline: transforms, ending in :class:`PackRegionInputs`.
        max_bad_samples: how many reads may fail in this process and its workers before training
            stops with an error.
        indices: the first so many rows, or just these rows.
        max_refetch: how often another image is tried in place of a bad one.
        colours_on_device: leave changes of colours, and cutouts after them, to
            :class:`RegionDataPreprocessor`: they are drawn here and done there, a batch at a time.

    Raises:
        ValueError: there are no changes of colours that could be left to it.
        RegionStoreError: the region file is missing, damaged, empty or of other images.
    """

    def __init__(
        self,
        region_file,
        data_root=None,
        pipeline=(),
        max_bad_samples=100,
        indices=None,
        max_refetch=1000,
        colours_on_device=False,
    ):
        self.region_file = region_file
        self.images_root = data_root
        self.max_bad_samples = max_bad_samples
        self.colours_on_device = colours_on_device
        self._bad_samples = torch.zeros(1, dtype=torch.int64).share_memory_()
        super().__init__(
            pipeline=[TRANSFORMS.build(step) for step in pipeline],  # in any default scope
            indices=indices,
            serialize_data=False,
            max_refetch=max_refetch,
        )

    def full_init(self):
        """Open the region file and check that it belongs to the images."""
        if self._fully_initialized:
            return
        try:
            self.store = RegionStore(self.region_file, root=self.images_root)
        except RegionStoreError as error:
            raise RegionStoreError(f"{error} (train_dataloader.dataset.region_file)") from error
        rows = np.arange(len(self.store))
        if isinstance(self._indices, int):
            rows = rows[: self._indices]
        elif self._indices is not None:
            rows = rows[np.asarray(self._indices)]
        if len(rows) == 0:
            raise RegionStoreError(
                f"{self.region_file} holds no images (train_dataloader.dataset.region_file, "
                f"indices={self._indices}): propose regions for a folder that has some"
            )
        self._rows = rows
        self._check_boxes()
        self._check_colours()
        self._check_images()
        self._fully_initialized = True

    def _check_boxes(self):
        asking = [t for t in self.pipeline.transforms if getattr(t, "needs_boxes", False)]
        if asking and not self.store.has_boxes():
            raise RegionStoreError(
                f"{self.region_file} holds {len(self.store)} images and not one box, and "
                f"{type(asking[0]).__name__} of train_dataloader.dataset.pipeline needs boxes: "
                "propose regions again with other filters (tools/generate_regions.py "
                "--filter-args), e.g. a smaller min_side"
            )

    def _check_colours(self):
        views = [v for t in self.pipeline.transforms for v in getattr(t, "colours_last", ())]
        if self.colours_on_device and not any(views):
            raise ValueError(
                "train_dataloader.dataset.colours_on_device=True, but no view of "
                "RegionMultiView.pipelines ends in RegionColorJitter, RegionRandomGrayscale, "
                "RegionGaussianBlur or RegionSolarize: set it to False"
            )

    def _check_images(self):
        probes = self._rows[np.linspace(0, len(self._rows) - 1, 5).astype(int)]
        files = [self.store.image_file(int(row)) for row in probes]
        if not any(osp.exists(file) for file in files):
            raise RegionStoreError(
                f"{self.region_file}: none of five sampled images exists, e.g. {files[0]}. "
                "It is the region file of other images, or they have moved: set "
                "train_dataloader.dataset.data_root to their folder, or run "
                "tools/generate_regions.py on it"
            )

    def __len__(self):
        return len(self._rows)

    def get_data_info(self, idx):
        """What the pipeline starts from, a fresh dict for the image of index ``idx``."""
        row_index = int(self._rows[idx])
        row = self.store[row_index]
        return dict(
            img_path=self.store.image_file(row_index),
            height=row.height,
            width=row.width,
            boxes=row.boxes,
            region_ids=np.arange(len(row.boxes)),
            segments=row.segments,
            sample_idx=idx,
            colours_on_device=self.colours_on_device,
        )

    def prepare_data(self, idx):
        """Run the pipeline; ``None`` for a bad image, so that another one is fetched.

        Raises:
            RuntimeError: more than ``max_bad_samples`` reads have failed.
        """
        try:
            return super().prepare_data(idx)
        except BadImageError as error:
            self._bad_samples += 1
            count = int(self._bad_samples)
            print_log(f"skipped bad sample {count}: {error}", "current", logging.WARNING)
            if count > self.max_bad_samples:
                raise RuntimeError(
                    f"{count} samples of {self.region_file} could not be read, more than "
                    f"max_bad_samples={self.max_bad_samples}; the last one: {error}. Run "
                    "tools/analysis_tools/validate_regions.py, or raise "
                    "train_dataloader.dataset.max_bad_samples"
                ) from error
            return None
