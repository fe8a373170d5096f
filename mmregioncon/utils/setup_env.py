"""Registering our modules, and distributed runs on a machine without a GPU."""

import importlib

import torch
from mmengine.dist import is_distributed
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from mmengine.registry import init_default_scope as set_default_scope

ROOMS = ("datasets", "engine", "evaluation", "models", "regions", "visualization")


def register_all_modules(init_default_scope=True):
    """Import every module of MMRegionCon that registers something.

    Args:
        init_default_scope: Whether ``mmregioncon`` becomes the default scope, so that
            types without a scope are looked up here first.
    """
    for room in ROOMS:
        importlib.import_module(f"mmregioncon.{room}")
    if init_default_scope:
        set_default_scope("mmregioncon")


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """DDP on CPUs: no device ids, and BN instead of SyncBN, which has no CPU kernel.

    Each process then has BN statistics of its own: good for tests, not for results.
    """

    def __init__(self, module, device_ids=None, **kwargs):
        super().__init__(module=revert_sync_batchnorm(module), device_ids=None, **kwargs)


def prepare_cpu_ddp(cfg):
    """Make a config launched by torchrun run without a GPU; with one, change nothing.

    MMEngine's launcher selects a CUDA device before it starts the process group, so the
    group is started here.
    """
    if cfg.get("launcher", "none") != "pytorch" or torch.cuda.is_available():
        return
    cfg.setdefault("env_cfg", {}).setdefault("dist_cfg", {})["backend"] = "gloo"
    cfg.model_wrapper_cfg = dict(
        type="mmengine.CPUDistributedDataParallel",
        broadcast_buffers=False,
        find_unused_parameters=cfg.get("find_unused_parameters", False),
    )
    if not is_distributed():
        torch.distributed.init_process_group("gloo")
