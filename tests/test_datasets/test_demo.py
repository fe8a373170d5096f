"""The demo data set: deterministic, valid COCO, and the scenes that were promised."""

import hashlib

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmregioncon.datasets.demo import CLASSES, make_demo_data, render_scene
from mmregioncon.datasets.demo import textures as tx
from mmregioncon.datasets.demo.objects import CLUTTER
from mmregioncon.datasets.demo.scenes import HEIGHTS, WIDTHS

SMALL = dict(num_unlabelled=3, num_train=2, num_val=4)


def digests(root):
    """The hash of every file below ``root``, by relative path."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "data"
    assert make_demo_data(root, seed=3, workers=2, **SMALL)
    return root


def test_same_seed_same_bytes_whatever_the_workers(data, tmp_path):
    make_demo_data(tmp_path / "again", seed=3, workers=1, **SMALL)
    assert digests(tmp_path / "again") == digests(data)
    make_demo_data(tmp_path / "other", seed=4, workers=1, **SMALL)
    ours, theirs = digests(data), digests(tmp_path / "other")
    assert ours.keys() == theirs.keys()
    assert not set(ours.values()) & set(theirs.values())


def test_pictures_of_the_parts_differ(data):
    pictures = [digest for name, digest in digests(data).items() if name.endswith(".jpg")]
    assert len(pictures) == sum(SMALL.values()) == len(set(pictures))


def test_second_run_keeps_equal_data_and_replaces_others(tmp_path):
    root = tmp_path / "demo"
    make_demo_data(root, workers=1, **SMALL)
    (root / "regions.arrow").write_text("derived")
    assert not make_demo_data(root, workers=1, **SMALL)
    assert (root / "regions.arrow").exists()
    assert make_demo_data(root, workers=1, **{**SMALL, "num_val": 1})
    assert not (root / "regions.arrow").exists()
    assert len(list((root / "val").iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_refuses_a_folder_that_is_not_a_demo_data_set(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ValueError, match="not a demo data set"):
        make_demo_data(tmp_path, **SMALL)
    assert (tmp_path / "photo.jpg").exists()


def test_refuses_an_empty_part(tmp_path):
    with pytest.raises(ValueError, match="num_train=0"):
        make_demo_data(tmp_path / "demo", num_train=0)


@pytest.mark.parametrize("split", ["train", "val"])
def test_annotations_are_valid_coco(data, split):
    coco = COCO(str(data / "annotations" / f"instances_{split}.json"))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert len(coco.getImgIds()) == SMALL[f"num_{split}"]
    for image in coco.loadImgs(coco.getImgIds()):
        pixels = cv2.imread(str(data / split / image["file_name"]))
        assert pixels.shape[:2] == (image["height"], image["width"])
        for obj in coco.imgToAnns[image["id"]]:
            x, y, w, h = obj["bbox"]
            assert x >= 0 and y >= 0 and x + w <= image["width"] and y + h <= image["height"]
            assert 0 < obj["area"] <= w * h


@pytest.mark.parametrize("seed", range(8))
def test_scene(seed):
    scene = render_scene(np.random.default_rng(seed))
    height, width = scene.image.shape[:2]
    assert height in HEIGHTS and width in WIDTHS
    assert scene.image.dtype == np.uint8 and scene.image.std() > 10
    assert 2 <= len(scene.labels) <= 6
    assert scene.boxes.shape == (len(scene.labels), 4)
    sides = scene.boxes[:, 2:] - scene.boxes[:, :2]
    assert (sides >= 3).all() and (sides <= 160).all()
    assert (scene.areas > 0).all() and (scene.areas <= sides.prod(axis=1)).all()


@pytest.mark.parametrize("maker", [*CLASSES.values(), *CLUTTER])
def test_sprites_are_finite_and_partly_opaque(maker):
    sprite = maker(np.random.default_rng(0))
    assert sprite.dtype == np.float32 and sprite.shape[2] == 4
    assert np.isfinite(sprite).all()
    assert 0.15 < sprite[..., 3].mean() < 1


@pytest.mark.parametrize("surface", {*tx.WALLS, *tx.FLOORS}, ids=lambda s: s.__name__)
@pytest.mark.parametrize("size", [(8, 40), (160, 192)])
def test_surfaces_fill_any_size(surface, size):
    img = surface(np.random.default_rng(1), *size)
    assert img.shape == (*size, 3)
    assert np.isfinite(img).all() and img.min() >= 0 and img.std() > 0


def test_missing_photograph_is_named(monkeypatch):
    monkeypatch.setattr(tx, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install scikit-image"):
        tx.photo.__wrapped__("brick")
