from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmregioncon.datasets.transforms import JigsawPatches
from mmregioncon.models.algorithms.detco import split_patches
from mmregioncon.registry import TRANSFORMS
from mmregioncon.utils import register_all_modules
from mmregioncon.visualization import draw_views

CONFIGS = Path(__file__).parents[2] / "configs"


def positions(size):
    """A view whose colours are the positions of its pixels: x, y, 0."""
    img = np.zeros((size, size, 3), np.uint8)
    img[..., 0], img[..., 1] = np.meshgrid(np.arange(size), np.arange(size))
    return dict(img=img, img_shape=(size, size), affine=np.eye(3))


def corners(jigsaw, view):
    """Corners ``(n, 2)``, y and x, of the patches of a strip; each patch is an unbroken piece."""
    side = jigsaw.patch_size
    strip = jigsaw(dict(view))["img"]
    assert strip.shape == (side, jigsaw.grid**2 * side, 3) and strip.dtype == np.uint8
    patches = strip.reshape(side, -1, side, 3).swapaxes(0, 1)
    for patch in patches:
        x, y = patch[0, 0, :2].astype(int)
        np.testing.assert_array_equal(patch, view["img"][y : y + side, x : x + side])
    return patches[:, 0, 0, 1::-1].astype(int)


@pytest.mark.parametrize("crop_size, grid, patch_size", [(255, 3, 64), (120, 3, 40), (64, 2, 1)])
@pytest.mark.parametrize("seed", [0, 1])
def test_one_whole_patch_of_every_cell(crop_size, grid, patch_size, seed):
    np.random.seed(seed)
    found = corners(JigsawPatches(crop_size, grid, patch_size), positions(crop_size))
    cells, offsets = np.divmod(found, crop_size // grid)
    assert sorted(map(tuple, cells)) == list(np.ndindex(grid, grid))
    assert offsets.max() <= crop_size // grid - patch_size


def test_corners_are_those_that_the_release_could_draw(golden):
    for seed in range(3):
        found = golden("detco_unofficial")[f"jigsaw_seed{seed}_corner_yx"]
        cells, offsets = np.divmod(found[::2], 255 // 3)  # two images, cut alike
        assert sorted(map(tuple, cells)) == list(np.ndindex(3, 3))
        assert offsets.max() <= 255 // 3 - 64
    assert tuple(golden("detco_unofficial")["jigsaw_out_shape"]) == (18, 3, 64, 64)


def test_every_place_of_a_cell_can_be_drawn():
    np.random.seed(0)
    jigsaw = JigsawPatches(crop_size=9, grid=3, patch_size=2)
    found = np.concatenate([corners(jigsaw, positions(9)) for _ in range(30)])
    assert set(map(tuple, found % 3)) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_order_is_drawn_for_each_image_or_row_after_row():
    np.random.seed(0)
    drawn = [corners(JigsawPatches(6, 3, 2), positions(6)).tolist() for _ in range(4)]
    assert len({str(order) for order in drawn}) == 4
    fixed = corners(JigsawPatches(6, 3, 2, shuffle=False), positions(6)).tolist()
    assert fixed == [[y, x] for y in (0, 2, 4) for x in (0, 2, 4)] and fixed not in drawn


def test_one_seed_gives_one_strip():
    strips = []
    for _ in range(2):
        np.random.seed(5)
        strips.append(JigsawPatches()(positions(255))["img"])
    np.testing.assert_array_equal(*strips)


def test_model_takes_the_strip_apart():
    np.random.seed(0)
    strip = JigsawPatches(12, 3, 2)(positions(12))["img"]
    patches = split_patches(torch.from_numpy(strip.transpose(2, 0, 1).copy())[None], 9)
    np.random.seed(0)
    assert (
        patches[:, :2, 0, 0].flip(1).tolist()
        == corners(JigsawPatches(12, 3, 2), positions(12)).tolist()
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(crop_size=256), r"crop_size=256 cannot be cut into grid=3 .*multiple of grid"),
        (dict(grid=0), "grid=0"),
        (dict(patch_size=86), r"patch_size=86 must be between 1 and .*crop_size / grid = 85"),
        (dict(patch_size=0), "patch_size=0 must be between 1 and"),
    ],
)
def test_patches_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        JigsawPatches(**options)


def test_view_of_another_size():
    with pytest.raises(ValueError, match=r"crop_size=255 got a view of \(224, 224\)"):
        JigsawPatches()(positions(224))


def test_strip_is_a_view_without_a_place_in_the_image():
    register_all_modules(init_default_scope=False)
    crop = dict(type="RegionRandomResizedCrop", scale=30, crop_ratio_range=(0.6, 1.0))
    jigsaw = dict(type="JigsawPatches", crop_size=30, patch_size=8)
    steps = [
        dict(type="RegionMultiView", pipelines=[[crop], [crop, jigsaw]]),
        dict(type="PackRegionInputs"),
    ]
    with DefaultScope.overwrite_default_scope("mmregioncon"):
        packed = Compose([TRANSFORMS.build(step) for step in steps])(positions(60))
    sample = packed["data_samples"]
    assert np.isfinite(sample.affines[0]).all() and np.isnan(sample.affines[1]).all()
    picture = draw_views([view.numpy() for view in packed["inputs"]], sample)
    assert picture.shape == (30, 30 + 4 + 72 + 4, 3)


@pytest.mark.parametrize("name", ["detco", "detco-plain"])
def test_views_of_the_recipes(name):
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(CONFIGS / f"detco/{name}_r50_8xb32-coslr-200e_in1k.py")
    with DefaultScope.overwrite_default_scope("mmregioncon"):
        pipeline = [TRANSFORMS.build(step) for step in cfg.train_pipeline[1:]]
    packed = Compose(pipeline)(positions(250))
    shapes = [tuple(view.shape) for view in packed["inputs"]]
    assert shapes == [(3, 224, 224), (3, 224, 224), (3, 64, 576), (3, 64, 576)]
    steps = [{type(step).__name__ for step in view} for view in pipeline[0].pipelines]
    augmented = ["RandAugment" in names for names in steps]
    assert augmented == [name == "detco"] * 2 + [False] * 2


def test_rand_augment_changes_pixels_alone():
    """It moves some, but it knows nothing of a view's other keys."""
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(CONFIGS / "_base_/datasets/detco_in1k.py")
    with DefaultScope.overwrite_default_scope("mmregioncon"):
        transform = TRANSFORMS.build(cfg.rand_augment)
    assert len(transform.transforms) == 15
    for step in transform:
        step.prob = 1.0
        view = positions(32)
        result = step(dict(view))
        assert result.keys() == view.keys()
        assert result["affine"] is view["affine"]
        assert result["img"].shape == (32, 32, 3) and result["img"].dtype == np.uint8
