"""Propose regions for many images: parallel, resumable, the same bytes every time.

Images are taken in a fixed order. Finished ones are kept in small region files in
``<out>.parts/``, and joined into ``out`` when all are there. Parts, shards and the result are made
by one function, written atomically, and carry what they were made with and the images left out:
a run that is repeated finds what it has done, and refuses what others have.
"""

import hashlib
import json
import re
import time
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmregioncon.registry import REGION_PROPOSERS
from mmregioncon.utils.opencv import one_opencv_thread
from mmregioncon.version import __version__

from .filters import build_filter
from .parts import Parts, differences, is_done, join, only_writer, remove_parts
from .segments import ReducedSegments
from .store import RegionStore, RegionStoreError
from .validate import box_problems
from .workers import ImageWork

PROPOSERS = {
    "selective_search": dict(type="SelectiveSearch", mode="fast"),
    "selective_search_quality": dict(type="SelectiveSearch", mode="quality"),
    "fast_search": dict(type="FastSearch"),
    "felzenszwalb": dict(type="FelzenszwalbRegions"),
    "grid": dict(type="GridRegions"),
    "random": dict(type="RandomRegions"),
    "coco": dict(type="CocoRegions"),
}


def generate_regions(
    images,
    out,
    proposer,
    filter_cfg=None,
    segments=None,
    shard=(0, 1),
    workers=None,
    overwrite=False,
    progress=True,
    max_failures=1000,
):
    """Propose regions for a list of images and write them to a region file.

    A run that was killed is finished by the same call.

    Args:
        images: :class:`ImageList`.
        out: the region file. Unreadable images are listed in ``<out>.failures.txt``.
        proposer: config of a proposer in ``REGION_PROPOSERS``.
        filter_cfg: config for :func:`build_filter`; by default all boxes stay.
        segments: arguments of :class:`ReducedSegments` to keep a label map of each image too.
        shard: ``(index, count)``: do this one of ``count`` shares of the images, and write
            :func:`shard_path` instead of ``out``. :func:`merge_shards` joins them.
        workers: processes; by default one for each usable core. The result does not depend on it.
        overwrite: replace ``out`` if it exists, and drop parts of other parameters.
        progress: show a progress bar.
        max_failures: unreadable images that are left out before the run stops.

    Returns:
        dict: the summary (see :func:`summarise`), with ``failures`` as ``(path, reason)`` pairs.

    Raises:
        RegionStoreError: ``out`` or parts of it are there and of other parameters, another run is
            writing it, it cannot be written, no image or too few could be read, or the machine
            fails (disk, network, memory).
        ValueError: the proposer, filter or segments cannot be built, or ``shard`` is none.
    """
    filter_cfg = dict(filter_cfg or dict(type="none"))
    work = ImageWork(
        images.root,
        _build("--proposer-args", REGION_PROPOSERS.build, dict(proposer)),
        build_filter(filter_cfg),
        None if segments is None else _build("--segments-args", _reduced_segments, segments),
    )
    metadata = _metadata(images, proposer, filter_cfg, segments, shard, work.proposer)
    paths, out = _share(images.paths, *shard), shard_path(out, *shard)
    started, done = time.time(), 0
    with one_opencv_thread(), only_writer(out) as folder:
        if overwrite or not is_done(out, metadata):
            parts = Parts(folder, paths, metadata, overwrite)
            done = parts.propose(work, workers, progress, max_failures)
            join(list(parts.images), folder, out, metadata)
        remove_parts(folder)
    seconds = time.time() - started
    return dict(summarise(out), seconds=seconds, images_per_s=done / seconds, images_this_run=done)


def shard_path(out, index, count):
    """The file of shard ``index`` of ``count``: beside ``out``; a single shard is ``out``."""
    out = Path(out)
    if count == 1:
        return out
    return out.with_name(f"{out.stem}.shard-{index:04d}-of-{count:04d}{out.suffix}")


def merge_shards(out, overwrite=False, progress=True):
    """Join the shards of ``out``: the same bytes as if there had been one process.

    The shards stay; they are not needed any more.

    Args:
        out: the region file that the shards were made for.
        overwrite: replace ``out`` if it exists.
        progress: show a progress bar.

    Returns:
        dict: the summary, with ``failures`` as ``(path, reason)`` pairs.

    Raises:
        RegionStoreError: a shard is missing, damaged, made with other parameters than the first
            one or holds an image of another; ``out`` exists, or another run is writing it.
    """
    out = Path(out)
    shards = _find_shards(out)
    metadata = _common_metadata(shards)
    with only_writer(out) as folder:
        if overwrite or not is_done(out, metadata):
            _check_rows(shards, progress)
            join([shard.path for shard in shards], folder, out, metadata)
    return summarise(out)


def _build(option, build, cfg):
    try:
        return build(cfg)
    except TypeError as error:  # an unknown or missing argument
        raise ValueError(f"{option}: {error}") from error


def _reduced_segments(cfg):
    return ReducedSegments(**cfg)


def _metadata(images, proposer, filter_cfg, segments, shard, built):
    """What decides the result, as a JSON keeps it."""
    metadata = dict(
        root=images.root,
        images=hashlib.sha256("\n".join(images.paths).encode("utf-8", "replace")).hexdigest(),
        num_images=len(images.paths),
        proposer=dict(proposer),
        proposer_digest=getattr(built, "digest", None),
        filter=filter_cfg,
        segments=segments,
        mmregioncon=__version__,
        opencv=cv2.__version__,
        **(dict(shard=shard) if shard[1] > 1 else {}),
    )
    return json.loads(json.dumps(metadata))


def _share(paths, index, count):
    if not 0 <= index < count <= len(paths):
        raise ValueError(
            f"--shard {index}/{count}: wanted I/N with I from 0 to N - 1, and N at most the "
            f"number of images, {len(paths)}"
        )
    return paths[len(paths) * index // count : len(paths) * (index + 1) // count]


def _find_shards(out):
    """The stores of all shards of ``out``, in order."""
    name = re.compile(rf"{re.escape(out.stem)}\.shard-\d+-of-(\d+){re.escape(out.suffix)}")
    found = sorted(path for path in out.parent.glob("*.shard-*") if name.fullmatch(path.name))
    if not found:
        raise RegionStoreError(
            f"{out}: no shard of it ({shard_path(out, 0, 8).name}, ...) is in {out.parent}; run "
            "tools/generate_regions.py with --shard, torchrun or srun first, with the same --out"
        )
    counts = {int(name.fullmatch(path.name)[1]) for path in found}
    if len(counts) > 1:
        raise RegionStoreError(
            f"{out}: there are shards of several runs, {found[0].name} and {found[-1].name}, that "
            "share the images in other ways; remove those of one run"
        )
    count = counts.pop()
    wanted = [shard_path(out, index, count) for index in range(count)]
    for index, path in enumerate(wanted):
        if path not in found:
            raise RegionStoreError(
                f"{path}: this shard is missing; make it with --shard {index}/{count} and the "
                "options of the others"
            )
    return list(map(RegionStore, wanted))


def _common_metadata(shards):
    """What the result was made with, which all shards must share."""
    own = ("shard", "failures", "version", "batch_rows")
    metadata = {key: value for key, value in shards[0].metadata.items() if key not in own}
    for index, shard in enumerate(shards):
        expected = [index, len(shards)]
        changed = differences(shard, dict(metadata, shard=expected))
        if changed:
            raise RegionStoreError(
                f"{shard.path}: made with another {', '.join(changed)} than "
                f"{shards[0].path}; remove it and make it again with --shard {index}/{len(shards)} "
                "and the options of the others"
            )
    return metadata


def _check_rows(shards, progress):
    """Each image once, with boxes that fit it, and none forgotten."""
    owners = {}
    total = sum(map(len, shards))
    rows = ((shard.path, row) for shard in shards for row in shard)
    for path, row in tqdm(rows, "checking", total, unit="img", disable=not progress):
        other = owners.setdefault(row.img_path, path)
        problems = box_problems(row)
        if other is not path:
            problems.append(f"{other} has this image too")
        if problems:
            raise RegionStoreError(
                f"{path}: {row.img_path}: {'; '.join(problems)}. Remove the shard and make it again"
            )
    known = total + sum(len(shard.metadata["failures"]) for shard in shards)
    wanted = shards[0].metadata["num_images"]
    if known != wanted:
        raise RegionStoreError(
            f"{shards[0].path} and the other shards hold {known} images, not {wanted}; remove them "
            "and make them again"
        )


def summarise(path):
    """Figures of a region file that :func:`generate_regions` made, and its ``failures``."""
    store = RegionStore(path)
    counts = store.box_counts()
    shown = counts if len(counts) else np.zeros(1, int)  # a shard of nothing but bad images
    return dict(
        images=len(counts),
        boxes=int(counts.sum()),
        boxes_per_image=float(shown.mean()),
        boxes_per_image_min=int(shown.min()),
        boxes_per_image_median=float(np.median(shown)),
        boxes_per_image_max=int(shown.max()),
        images_without_boxes=int((counts == 0).sum()),
        num_failures=len(store.metadata["failures"]),
        failures=store.metadata["failures"],
    )
