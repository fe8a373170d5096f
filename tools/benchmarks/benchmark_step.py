"""Time a pre-training step against its floor.

The floor is what no method of this kind can do without: the backbone's forward and backward
pass of the online views and its forward pass of the teacher's views, in plain contiguous fp32,
at the same sizes, in this process. Steps and floors alternate; medians are reported.

Example:
    python tools/benchmarks/benchmark_step.py configs/soco/soco_r50-fpn_1xb64-coslr-100e_in1k.py \
        --batch-size 4 --json step.json
"""

import argparse
import json
import resource
import time
from copy import deepcopy
from statistics import median

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config, DictAction
from mmengine.dataset import default_collate
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmregioncon.registry import MODELS


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="pre-training config")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--img-scale", type=int, nargs="+", help="view sizes in pixels")
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds")
    parser.add_argument("--amp", action="store_true", help="mixed precision (needs a GPU)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def set_view_sizes(pipeline, sizes):
    """Give each view of a config's ``RegionMultiView`` a side in pixels."""
    views = next(step for step in pipeline if step["type"] == "RegionMultiView")["pipelines"]
    if len(views) != len(sizes):
        raise SystemExit(f"--img-scale: the config makes {len(views)} views")
    for transforms, size in zip(views, sizes):
        transforms[0]["size" if "size" in transforms[0] else "scale"] = size


def synthetic_batch(pipeline, batch_size, seed=0):
    """A batch of noise images of 500x375 with 20 random boxes each, through the real pipeline."""
    np.random.seed(seed)
    transform = Compose([step for step in pipeline if not step["type"].startswith("Load")])
    samples = []
    for _ in range(batch_size):
        corner = np.random.rand(20, 2) * (280, 200)
        size = 100 + np.random.rand(20, 2) * (120, 75)
        info = dict(
            img=np.random.randint(0, 256, (375, 500, 3), dtype=np.uint8),
            height=375,
            width=500,
            boxes=np.concatenate([corner, corner + size], 1).astype(np.float32),
            region_ids=np.arange(20),
        )
        samples.append(transform(info))
    return default_collate(samples)


def precision(optim_wrapper, amp):
    """The config's optimizer wrapper in fp32, or with ``--amp`` in mixed precision."""
    optim_wrapper = dict(optim_wrapper, type="AmpOptimWrapper" if amp else "OptimWrapper")
    if amp:
        return dict(optim_wrapper, loss_scale="dynamic")
    optim_wrapper.pop("loss_scale", None)
    return optim_wrapper


def timed(function, device):
    """Seconds one call takes."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


class WholeBackbone(nn.Module):
    """A contiguous copy of the backbone; of a C4 model with res5, which is its RoIs' head."""

    def __init__(self, model):
        super().__init__()
        self.backbone = deepcopy(model.backbone)
        self.last = deepcopy(getattr(getattr(model, "roi_head", None), "shared_head", None))
        self.to(memory_format=torch.contiguous_format)

    def forward(self, view):
        feats = self.backbone(view)
        return feats if self.last is None else (self.last(feats[-1]),)


def make_floor(model, batch):
    """The floor as a function of no arguments."""
    online, teacher = WholeBackbone(model), WholeBackbone(model)
    views = model.data_preprocessor(deepcopy(batch), True)["inputs"]
    # mmpretrain's MoCo and DenseCL: first view online, second in the teacher
    inputs_of = getattr(model, "backbone_inputs", lambda views: (views[:1], views[1:]))
    queries, keys = ([view.contiguous() for view in part] for part in inputs_of(views))

    def floor():
        online.zero_grad()
        for view in queries:
            sum(feat.mean() for feat in online(view)).backward()
        with torch.no_grad():
            for view in keys:
                teacher(view)

    return floor


def peak_memory_mb(device):
    """Peak memory: allocated on a GPU, resident size of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main():
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    init_default_scope(cfg.default_scope)
    device = torch.device(args.device)
    pipeline = cfg.train_dataloader.dataset.pipeline
    if args.img_scale:
        set_view_sizes(pipeline, args.img_scale)
    batch = synthetic_batch(pipeline, args.batch_size)

    MessageHub.get_instance("benchmark").update_info("max_iters", 100000)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if device.type == "cpu":
        model = revert_sync_batchnorm(model)
    model = model.to(device).train()
    optim_wrapper = build_optim_wrapper(model, precision(cfg.optim_wrapper, args.amp))

    def step():
        model.train_step(batch, optim_wrapper)

    timed(step, device)  # warm-up; its peak is the training step's alone
    memory = peak_memory_mb(device)
    floor = make_floor(model, batch)
    timed(floor, device)
    rounds = [(timed(step, device), timed(floor, device)) for _ in range(args.repeats)]
    report(args, rounds, memory)


def report(args, rounds, memory):
    """Print the figures and write them to ``--json``."""
    step, floor = (median(column) for column in zip(*rounds))
    figures = dict(
        config=args.config,
        batch_size=args.batch_size,
        device=args.device,
        threads=torch.get_num_threads(),
        step_seconds=step,
        floor_seconds=floor,
        images_per_s=args.batch_size / step,
        peak_memory_mb=memory,
        floor_ratio=median(one / other for one, other in rounds),
    )
    for name, value in figures.items():
        print(f"{name:>16}: {value:.3f}" if isinstance(value, float) else f"{name:>16}: {value}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=2)


if __name__ == "__main__":
    main()
