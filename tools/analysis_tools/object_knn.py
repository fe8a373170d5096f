"""Classify annotated objects by the nearest neighbours of their frozen features.

Features are RoI vectors of the backbone's last stage (averaged over the RoI) and of the RoI head,
for the ground-truth boxes of a labelled training set (the bank) and a validation set (the queries).

Example, against random initialisation:
    python tools/analysis_tools/object_knn.py configs/demo/soco_r18-fpn_demo.py \
        random work_dirs/quickstart/pretrain/epoch_7.pth --root data/demo \
        --train annotations/instances_train.json train --val annotations/instances_val.json val
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.ops import roi_align
from mmengine.config import Config, DictAction
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from pycocotools.coco import COCO
from tqdm import tqdm

from mmregioncon.evaluation import knn_accuracy
from mmregioncon.registry import MODELS


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="pre-training config")
    parser.add_argument("checkpoints", nargs="+", help="checkpoints, or 'random'")
    parser.add_argument("--root", type=Path, required=True, help="folder of the COCO data")
    parser.add_argument("--train", nargs=2, required=True, metavar=("JSON", "IMAGES"))
    parser.add_argument("--val", nargs=2, required=True, metavar=("JSON", "IMAGES"))
    parser.add_argument("--size", type=int, default=160, help="images are resized to this side")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the random initialisation")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def load_objects(root, ann_file, images, size):
    """Yield ``(img (size, size, 3) uint8 BGR, boxes (K, 4) in it, labels (K,))`` an image."""
    coco = COCO(root / ann_file)
    for image_id, annotations in coco.imgToAnns.items():
        boxes = np.array([one["bbox"] for one in annotations], np.float32)
        labels = np.array([one["category_id"] for one in annotations])
        keep = (boxes[:, 2:] > 0).all(axis=1)
        img = cv2.imread(str(root / images / coco.imgs[image_id]["file_name"]))
        if not keep.any() or img is None:
            continue
        boxes[:, 2:] += boxes[:, :2]
        boxes *= np.tile([size / img.shape[1], size / img.shape[0]], 2)
        yield cv2.resize(img, (size, size), interpolation=cv2.INTER_AREA), boxes[keep], labels[keep]


@torch.no_grad()
def embed(model, objects):
    """Features by layer, ``(N, D)`` each, and labels ``(N,)``."""
    feats, labels = dict(backbone=[], roi_head=[]), []
    for img, boxes, classes in tqdm(objects, mininterval=5):
        data = dict(inputs=[torch.from_numpy(img.transpose(2, 0, 1))[None]], data_samples=None)
        view = model.data_preprocessor(data)["inputs"][0]
        rois = torch.cat([torch.zeros(len(boxes), 1), torch.from_numpy(boxes).float()], 1)
        maps = model.backbone(view)
        scale = maps[-1].shape[-1] / view.shape[-1]
        pooled = roi_align(maps[-1].contiguous(), rois, 7, scale, 0, "avg", True)
        feats["backbone"].append(pooled.mean(dim=(2, 3)))
        if hasattr(model, "roi_head"):
            pyramid = model.neck(maps) if hasattr(model, "neck") else maps
            feats["roi_head"].append(model.roi_head(pyramid, rois))
        labels.append(torch.from_numpy(classes))
    return {k: torch.cat(v) for k, v in feats.items() if v}, torch.cat(labels)


def main():
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    init_default_scope(cfg.default_scope)
    sets = [list(load_objects(args.root, *part, args.size)) for part in (args.train, args.val)]
    table = {}
    for checkpoint in args.checkpoints:
        torch.manual_seed(args.seed)
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
        model.init_weights()
        if checkpoint != "random":
            load_checkpoint(model, checkpoint, map_location="cpu", strict=True)
        (bank, bank_labels), (queries, labels) = (embed(model.eval(), one) for one in sets)
        table[checkpoint] = {
            layer: 100 * knn_accuracy(bank[layer], bank_labels, queries[layer], labels, args.k)
            for layer in bank
        }
        print(checkpoint, {layer: f"{value:.1f} %" for layer, value in table[checkpoint].items()})
    if args.json:
        Path(args.json).write_text(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
