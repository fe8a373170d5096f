"""Tiny data sets in the formats of COCO, VOC, Cityscapes and LVIS, to fine-tune detectors on."""

import json
from xml.etree import ElementTree as ET

import cv2
import numpy as np
from mmdet.datasets import CityscapesDataset, CocoDataset, LVISV1Dataset, VOCDataset

SIDE = 64
SQUARES = ((4, 24), (20, 40))  # left and top, side; of the first and the second class


def write_images(folder, names, seed=0):
    """Noise of 64 pixels."""
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))


def coco_content(names, classes):
    """A COCO file's content: two squares an image with their polygons."""
    images, annotations = [], []
    for i, name in enumerate(names):
        images.append(dict(id=i, file_name=name, height=SIDE, width=SIDE))
        for category, (x, side) in enumerate(SQUARES, 1):
            corners = [x, x, x + side, x, x + side, x + side, x, x + side]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i,
                    category_id=category,
                    bbox=[x, x, side, side],
                    area=side * side,
                    iscrowd=0,
                    segmentation=[corners],
                )
            )
    categories = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
    return dict(images=images, annotations=annotations, categories=categories, info={}, licenses=[])


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_coco(root, images=4):
    """COCO 2017's layout, and the label fractions of tools/misc/split_coco.py beside it."""
    names = [f"{i:012d}.jpg" for i in range(images)]
    content = coco_content(names, CocoDataset.METAINFO["classes"])
    for split in ("train2017", "val2017"):
        write_images(root / split, names)
        write_json(root / f"annotations/instances_{split}.json", content)
    for percent in (1, 2, 5, 10):
        write_json(root / f"semi_anns/instances_train2017.1@{percent}.json", content)


def write_lvis(root, images=4):
    """LVIS v1: COCO's images by URL, all 1203 categories with their frequency."""
    for split in ("train", "val"):
        names = [f"{split}2017/{i:012d}.jpg" for i in range(images)]
        write_images(root, names)
        content = coco_content(names, LVISV1Dataset.METAINFO["classes"])
        for image in content["images"]:
            image["coco_url"] = f"http://images.cocodataset.org/{image.pop('file_name')}"
            image |= dict(neg_category_ids=[3], not_exhaustive_category_ids=[])
        for category in content["categories"]:
            category |= dict(frequency="rcf"[category["id"] % 3], image_count=1)
        for annotation in content["annotations"]:
            del annotation["iscrowd"]  # LVIS has none
        write_json(root / f"annotations/lvis_v1_{split}.json", content)


def write_cityscapes(root, images=4):
    """Cityscapes: cities, COCO files as mmdet converts them, and the instance maps for its kit."""
    person, rider = 24, 25  # label ids of the first two classes
    for split in ("train", "val"):
        stems = [f"ulm/ulm_{i:06d}_000019" for i in range(images)]
        names = [f"{stem}_leftImg8bit.png" for stem in stems]
        write_images(root / "leftImg8bit" / split, names)
        content = coco_content(names, CityscapesDataset.METAINFO["classes"])
        write_json(root / f"annotations/instancesonly_filtered_gtFine_{split}.json", content)
        instances = np.zeros((SIDE, SIDE), np.uint16)
        for label, (x, side) in zip((person, rider), SQUARES):
            instances[x : x + side, x : x + side] = 1000 * label
        for stem in stems:
            path = root / "gtFine" / split / f"{stem}_gtFine_instanceIds.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), instances)


def write_voc(root, images=4):
    """VOCdevkit: 2007 trainval and test, 2012 trainval."""
    classes = VOCDataset.METAINFO["classes"]
    for year, splits in (("VOC2007", ("trainval", "test")), ("VOC2012", ("trainval",))):
        for split in splits:
            stems = [f"{split}_{i:06d}" for i in range(images)]
            write_images(root / year / "JPEGImages", [f"{stem}.jpg" for stem in stems])
            listed = root / year / f"ImageSets/Main/{split}.txt"
            listed.parent.mkdir(parents=True, exist_ok=True)
            listed.write_text("".join(f"{stem}\n" for stem in stems))
            for stem in stems:
                write_voc_xml(root / year / f"Annotations/{stem}.xml", classes)


def write_voc_xml(path, classes):
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = ET.Element("annotation")
    size = ET.SubElement(tree, "size")
    for name, value in (("width", SIDE), ("height", SIDE), ("depth", 3)):
        ET.SubElement(size, name).text = str(value)
    for name, (x, side) in zip(classes, SQUARES):
        item = ET.SubElement(tree, "object")
        ET.SubElement(item, "name").text = name
        ET.SubElement(item, "difficult").text = "0"
        box = ET.SubElement(item, "bndbox")
        for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), (x, x, x + side, x + side)):
            ET.SubElement(box, edge).text = str(value + 1)
    ET.ElementTree(tree).write(path)


WRITERS = dict(coco=write_coco, voc=write_voc, cityscapes=write_cityscapes, lvis=write_lvis)
