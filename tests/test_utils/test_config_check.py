"""Typos in configs get an error that names file, key and remedy."""

import pytest
from mmengine.config import Config
from mmengine.registry import Registry

from mmregioncon.datasets.transforms import CommonRegions
from mmregioncon.utils.config_check import (
    ConfigError,
    check_options,
    check_parts,
    check_queues,
    check_top_level,
    explain_build_errors,
)

THINGS = Registry("thing")
PLRC = dict(type="PLRC", head=dict(type="PLRCHead"))
ONE_REGION = dict(type="SampleRegionPoints", max_regions=1)


@THINGS.register_module()
class Base:
    def __init__(self, depth=1, inner=None):
        self.inner = THINGS.build(inner) if inner else None


@THINGS.register_module()
class Derived(Base):
    def __init__(self, width=2, **kwargs):
        super().__init__(**kwargs)


def _config(**items):
    return Config(items, cfg_text="toy", filename="configs/toy.py")


CFG = _config(
    model=dict(type="Derived", backbone=dict(depth=18), heads=[dict(width=1)]),
    optim_wrapper=dict(optimizer=dict(lr=0.1), clip_grad=None),
    train_cfg=dict(max_epochs=1),
)


@pytest.mark.parametrize(
    "path",
    [
        "model.backbone.depth",
        "model.backbone.with_cp",
        "model.heads.0.width",
        "optim_wrapper.clip_grad.max_norm",
        "load_from",
        "resume",
        "randomness.seed",
    ],
)
def test_sound_options_pass(path):
    check_options(CFG, {path: 1})


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("model.bakbone.depth", "'bakbone' is not a key of model. Did you mean 'backbone'?"),
        ("model.backbone.dpeth", "'dpeth' is not a key of model.backbone. Did you mean 'depth'?"),
        ("modle.backbone.depth", "'modle' is not a key of the top level. Did you mean 'model'?"),
        ("train_cfg.max_epoch", "Did you mean 'max_epochs'?"),
        ("load_form", "Did you mean 'load_from'?"),
        ("nonsense", "'nonsense' is not a key of the top level."),
        ("model.heads.1.width", "model.heads is a list of 1 items."),
    ],
)
def test_wrong_option_names_key_file_and_meaning(path, told):
    with pytest.raises(ConfigError) as raised:
        check_options(CFG, {path: 1})
    assert str(raised.value).startswith(f"--cfg-options {path}: ")
    assert told in str(raised.value)
    assert "configs/toy.py" in str(raised.value)


def test_top_level_typo():
    with pytest.raises(ConfigError, match="configs/toy.py.*'optim_wraper'.*'optim_wrapper'"):
        check_top_level(_config(optim_wraper=dict()))
    check_top_level(_config(optim_wrapper=dict(), train_pipeline=[], img_size=3, data_root="x"))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            dict(type="Derived", widht=1),
            "model.widht: Derived has no argument 'widht'. Did you mean 'width'?",
        ),
        (
            dict(type="Base", inner=dict(type="Base", dpeth=1)),
            "model.inner.dpeth: Base has no argument 'dpeth'. Did you mean 'depth'?",
        ),
        (
            dict(type="Base", inner=dict(type="Drived")),
            "model.inner.type: no thing is called 'Drived'. Did you mean 'Derived'?",
        ),
    ],
)
def test_build_error_names_file_and_key(model, told):
    cfg = _config(model=model)
    with pytest.raises(ConfigError) as raised, explain_build_errors(cfg):
        THINGS.build(cfg.model)
    assert str(raised.value).startswith("configs/toy.py: ")
    assert told in str(raised.value)


@pytest.mark.parametrize("error", [TypeError("f() got an unexpected keyword argument 'x'")])
def test_errors_outside_building_are_left_alone(error):
    with pytest.raises(type(error)) as raised, explain_build_errors(CFG):
        raise error
    assert raised.value is error


def test_explained_error_keeps_its_cause():
    with pytest.raises(ConfigError) as raised, explain_build_errors(CFG):
        THINGS.build(dict(type="Base", x=1))
    assert isinstance(raised.value.__cause__, TypeError)


@pytest.mark.parametrize(
    "model, batch_size, world_size, message",
    [
        (dict(queue=dict(length=64)), 32, 2, None),
        (dict(queue=dict(length=63)), 32, 2, "model.queue.length=63, but one step has 64 keys"),
        (dict(queues=[dict(length=8)]), 16, 1, "model.queues.0.length=8"),
        (dict(queue_len=96), 32, 1, None),
        (dict(queue_len=100), 32, 1, "model.queue_len=100 is not a multiple.*queue_len=96"),
        (dict(backbone=dict(depth=18)), 512, 8, None),
        (dict(roi_queue=dict(length=320)), 32, 1, None),
        (dict(roi_queue=dict(length=319)), 32, 1, "may have 320 keys .*max_regions=10"),
    ],
)
def test_a_queue_takes_the_keys_of_one_step(model, batch_size, world_size, message):
    step = dict(type="CommonRegions", max_regions=10)
    check_queue(model, batch_size, world_size, step, message)


def test_a_queue_takes_the_regions_that_common_regions_gives_by_default():
    most = CommonRegions().max_regions
    step, message = dict(type="CommonRegions"), f"may have {2 * most} keys"
    check_queue(dict(roi_queue=dict(length=2 * most)), 2, 1, step, None)
    check_queue(dict(roi_queue=dict(length=2 * most - 1)), 2, 1, step, message)


def check_queue(model, batch_size, world_size, step, message):
    loader = dict(batch_size=batch_size, dataset=dict(pipeline=[step]))
    cfg = _config(model=model, train_dataloader=loader)
    if message is None:
        check_queues(cfg, world_size)
    else:
        with pytest.raises(ConfigError, match=message):
            check_queues(cfg, world_size)


@pytest.mark.parametrize(
    "model, step, message",
    [
        (dict(head=dict(level="point")), dict(type="SampleRegionPoints"), "matched=True"),
        (dict(head=dict(level="point")), dict(type="SampleRegionPoints", matched=True), None),
        (dict(head=None), dict(type="SampleRegionPoints"), None),
        (dict(projector=dict()), dict(type="JigsawPatches"), None),
        (dict(projector=dict(num_patches=4)), dict(type="mmregioncon.JigsawPatches", grid=2), None),
        (
            dict(projector=dict()),
            dict(type="JigsawPatches", grid=2),
            "num_patches=9, but .*makes 4",
        ),
        (dict(type="PLRC"), dict(type="RegionSolarize"), "PLRC needs SampleRegionPoints"),
        (PLRC, dict(type="SampleRegionPoints"), None),
        (PLRC, ONE_REGION, "max_regions=1 leaves nothing .*model.head.negatives='batch'"),
        (dict(head=dict(type="PLRCHead", negatives="batch")), ONE_REGION, None),
        (dict(type="DetCo", terms=("gg",)), dict(type="RegionSolarize"), "needs 2 views.*makes 1"),
    ],
)
def test_model_and_pipeline_fit(model, step, message):
    check_fit(model, dict(), step, message=message)


@pytest.mark.parametrize("scale, fits", [(255, True), (256, False)])
def test_patches_fit_the_crop(scale, fits):
    steps = dict(type="RegionRandomResizedCrop", scale=scale), dict(type="JigsawPatches")
    message = None if fits else "JigsawPatches.crop_size=255 follows .*scale=256"
    check_fit(dict(projector=dict()), dict(), *steps, message=message)


@pytest.mark.parametrize("size, fits", [(224, True), (192, False)])
def test_crops_have_the_size_they_are_drawn_for(size, fits):
    steps = dict(type="DrawRegionCrops", size=224), dict(type="RegionCrop", window=0, size=size)
    message = None if fits else "DrawRegionCrops.size=224, but RegionCrop.size=192"
    check_fit(dict(type="CCOP"), dict(), *steps, message=message)


@pytest.mark.parametrize(
    "preprocessor, message",
    [
        (None, None),
        (dict(type="mmregioncon.RegionDataPreprocessor"), None),
        (
            dict(type="SelfSupDataPreprocessor"),
            "colours_on_device=True, but model.data_preprocessor.type='SelfSup.*: use",
        ),
    ],
)
def test_colours_are_left_to_those_who_do_them(preprocessor, message):
    model = dict(data_preprocessor=preprocessor)
    check_fit(model, dict(colours_on_device=True), dict(type="RegionSolarize"), message=message)
    check_fit(model, dict(), dict(type="RegionSolarize"), message=None)


@pytest.mark.parametrize("name, own", [("mmregioncon.SoCo", True), ("mmpretrain.MoCo", False)])
def test_only_our_models_do_colours_by_default(name, own):
    message = None if own else "type='that of the model' does nothing to colours"
    check_fit(
        dict(type=name), dict(colours_on_device=True), dict(type="RegionSolarize"), message=message
    )


def check_fit(model, dataset, *steps, message):
    views = dict(type="RegionMultiView", pipelines=[[dict(type="RegionResize"), *steps]])
    loader = dict(dataset=dict(dataset, pipeline=[dict(type="LoadRegionImage"), views]))
    cfg = _config(model=model, train_dataloader=loader)
    if message is None:
        check_parts(cfg)
    else:
        with pytest.raises(ConfigError, match=message):
            check_parts(cfg)
