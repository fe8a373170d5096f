"""Changes of colours a batch at a time against those of the workers."""

import cv2
import numpy as np
import pytest
import torch

from mmregioncon.datasets import collate_views
from mmregioncon.datasets.transforms import PackRegionInputs
from mmregioncon.models.data_preprocessors.batch_colours import change_colours, paint_cutouts
from mmregioncon.registry import MODELS, TRANSFORMS
from mmregioncon.structures import Colours

JITTER = dict(
    type="RegionColorJitter", brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, prob=0.8
)
GREY = dict(type="RegionRandomGrayscale", prob=0.2)
BLUR = dict(type="RegionGaussianBlur", magnitude_range=(0.1, 2.0), magnitude_std="inf", prob=0.5)
SOLARISE = dict(type="RegionSolarize", thr=128, prob=0.2)
ALL = [JITTER, GREY, BLUR, SOLARISE]


def pictures(num, size=48, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.normal(128, 70, (num, 6, 6, 3))
    large = np.stack([cv2.resize(one, (size, size)) for one in coarse])
    return (large + rng.normal(0, 10, large.shape)).clip(0, 255).astype(np.uint8)


def both_ways(images, steps, seed=0):
    """Of each image: the worker's view, and that of the device, ``(B, H, W, 3)`` float."""
    steps = [TRANSFORMS.build(dict(step)) for step in steps]
    done, noted = [], []
    for start, kept in ((dict(), done), (dict(colours=Colours()), noted)):
        np.random.seed(seed)
        for img in images:
            view = dict(start, img=img)
            for step in steps:
                view = step(view)
            kept.append(view)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    device = change_colours(batch, [view["colours"] for view in noted])
    worker = np.stack([view["img"] for view in done]).astype(float)
    return worker, device.permute(0, 2, 3, 1).double().numpy()


@pytest.mark.parametrize(
    "step, mean, most",
    [
        (dict(JITTER, prob=1.0, saturation=0, hue=0), 1.0, 2.5),
        (dict(JITTER, prob=1.0, hue=0), 1.2, 4),
        # the worker's hue and saturation have 8 bits, the device's 24
        (dict(type="RegionColorJitter", hue=0.5), 1.5, 12),
        (dict(JITTER, prob=1.0), 2.0, 16),
        (dict(GREY, prob=1.0), 0.3, 0.6),
        (dict(BLUR, prob=1.0), 0.8, 4),
        (dict(BLUR, prob=1.0, kernel_size=7), 0.8, 4),
        (dict(SOLARISE, prob=1.0), 0, 0),
    ],
)
def test_the_device_does_what_the_worker_would_have_done(step, mean, most):
    images = pictures(24)
    worker, device = both_ways(images, [step])
    assert (worker != images).any(axis=(1, 2, 3)).sum() >= 20
    apart = np.abs(device - worker)
    assert apart.mean() <= mean and apart.max() <= most


def test_hue_turns_the_circle():
    red, green, blue = np.eye(3, dtype=np.float32)[::-1] * 200
    batch = torch.from_numpy(np.stack([red, red, red, np.float32([90, 90, 90])]))[..., None, None]
    turned = change_colours(
        batch, [Colours(hue=86 / 255), Colours(hue=-86 / 255), Colours(), Colours(hue=0.3)]
    )[..., 0, 0]
    np.testing.assert_allclose(turned[0], green, atol=5)
    np.testing.assert_allclose(turned[1], blue, atol=5)
    np.testing.assert_array_equal(turned[2], red)
    np.testing.assert_allclose(turned[3], [90, 90, 90], atol=1e-4)


def statistics(before, after):
    """Of each image: change of mean, of contrast and of colourfulness, and fine structure left."""
    before, after = before / 255, after / 255
    fine = np.abs(np.diff(after, axis=2)).mean((1, 2, 3)) / np.abs(np.diff(before, axis=2)).mean(
        (1, 2, 3)
    )
    spread = after.std((1, 2, 3)) / before.std((1, 2, 3))
    colour = after.std(3).mean((1, 2)) / before.std(3).mean((1, 2))
    return np.stack([(after - before).mean((1, 2, 3)), spread, colour, fine])


def test_both_ways_have_one_distribution():
    images = pictures(400, size=24)
    worker, _ = both_ways(images, ALL, seed=1)
    _, device = both_ways(images, ALL, seed=2)  # other draws: nothing but the distribution agrees
    deciles = np.linspace(0.05, 0.95, 10)
    for ours, theirs in zip(statistics(images, device), statistics(images, worker)):
        steps = np.searchsorted(np.sort(theirs), np.quantile(ours, deciles)) / len(theirs)
        # Kolmogorov and Smirnov: beyond 0.115 once in a hundred, for two samples of 400
        assert np.abs(steps - deciles).max() < 0.13


def test_each_image_has_its_own_numbers_whatever_its_neighbours():
    images = torch.from_numpy(pictures(6)).permute(0, 3, 1, 2).float()
    before = images.clone()
    colours = [
        Colours(),
        Colours(order=(3, 2, 1, 0), brightness=1.3, contrast=0.7, saturation=1.2, hue=0.08),
        Colours(order=(0, 1, 2, 3), brightness=1.3, contrast=0.7, saturation=1.2, hue=0.08),
        Colours(grey=True),
        Colours(sigma=0.4),
        Colours(sigma=2.0, threshold=128),
    ]
    together = change_colours(images, colours)
    for index, one in enumerate(colours):
        alone = change_colours(images[index : index + 1], [one])
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-3, rtol=0)
    torch.testing.assert_close(images, before)
    torch.testing.assert_close(together[0], images[0])


def test_cutouts_are_painted_in_their_images_only():
    images = torch.zeros(3, 3, 8, 10)
    cutouts = [np.float32([[1, 2, 4, 5], [0, 0, 0, 0]]), np.zeros((0, 4), np.float32)]
    cutouts.append(np.float32([[8, 6, 10, 8], [7, 5, 9, 7]]))
    painted = paint_cutouts(images, cutouts, (1, 2, 3))
    expected = torch.zeros(3, 3, 8, 10)
    fill = torch.tensor([1.0, 2, 3])[:, None, None]
    expected[0, :, 2:5, 1:4] = fill
    expected[2, :, 6:8, 8:10] = fill
    expected[2, :, 5:7, 7:9] = fill
    torch.testing.assert_close(painted, expected)


def batch_of(images, colours):
    """A batch as workers make it; the views of one image are all the same."""
    pack = PackRegionInputs()
    samples = []
    for img, one in zip(images, colours):
        view = dict(img=img, affine=np.eye(3), boxes=np.float32([[0, 0, 9, 9]]), ids=np.array([0]))
        noted = dict(view, colours=one, cutouts=np.float32([[2, 2, 6, 6]]))
        samples.append(pack(dict(views=[view, noted], cutout_fill=(104, 116, 124))))
    return collate_views(samples)


def test_the_preprocessor_does_what_came_with_the_samples():
    images = pictures(4, size=32)
    colours = [Colours(), Colours(brightness=0.5), Colours(grey=True), Colours(threshold=0)]
    preprocessor = MODELS.build(dict(type="RegionDataPreprocessor"))
    batch = batch_of(images, colours)
    assert [view.dtype for view in batch["inputs"]] == [torch.uint8] * 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain, changed = preprocessor(batch, training=True)["inputs"]
    rgb = torch.from_numpy(images[..., ::-1].copy()).permute(0, 3, 1, 2).float()

    def normalised(view):
        return (view - preprocessor.mean) / preprocessor.std

    torch.testing.assert_close(plain, normalised(rgb))
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[2:6, 2:6] = False
    expected = normalised(torch.stack([rgb[0], rgb[1] / 2, rgb[2], 255 - rgb[3]]))
    for index in (0, 1, 3):
        torch.testing.assert_close(changed[index][:, outside], expected[index][:, outside])
    assert changed[..., ~outside].abs().max() < 0.02
    shades = (changed[2] * preprocessor.std + preprocessor.mean)[:, outside]
    torch.testing.assert_close(shades[0], shades[2], atol=1e-3, rtol=0)
