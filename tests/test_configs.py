"""Every shipped config is parsed and its model built; every registered class is used."""

from pathlib import Path

import mmengine.registry as mmengine_registries
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

import mmregioncon.registry as our_registries
from mmregioncon.utils import register_all_modules
from mmregioncon.utils.config_check import check_top_level

ROOT = Path(__file__).parent.parent
# Files that hold nothing but values for other configs, and so have no model.
PARTS = {"my_data.py"}
CONFIGS = sorted(
    path
    for path in (ROOT / "configs").rglob("*.py")
    if "_base_" not in path.parts and path.name not in PARTS
)
# Registered classes that no config names, since the algorithms name them themselves.
UNUSED_BY_CONFIGS = {"MemoryQueue", "MomentumTeacher"}


def _config_id(path):
    return str(path.relative_to(ROOT / "configs"))


def _dicts(node):
    """Yield every dict at or below ``node``."""
    if hasattr(node, "values"):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from _dicts(child)


def _types(cfg):
    """Return what a config names by ``type`` or ``constructor``, as (scope or None, name)."""
    values = {d.get(key) for d in _dicts(dict(cfg)) for key in ("type", "constructor")}
    found = {value for value in values if isinstance(value, str)}
    return {tuple(t.split(".")) if "." in t else (None, t) for t in found}


@pytest.mark.parametrize("path", CONFIGS, ids=_config_id)
def test_config_builds_its_model(path):
    cfg = Config.fromfile(path)
    check_top_level(cfg)
    register_all_modules(init_default_scope=False)
    if cfg.default_scope != "mmregioncon" and any(
        scope == "mmregioncon" for scope, _ in _types(cfg)
    ):
        assert "mmregioncon" in cfg.custom_imports["imports"]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = mmengine_registries.MODELS.build(cfg.model)
        assert any(parameter.requires_grad for parameter in model.parameters())
        for scope, name in _types({k: v for k, v in cfg.items() if k != "model"}):
            assert _is_registered(scope or cfg.default_scope, name), f"{name} is not registered"


def _is_registered(scope, name):
    registries = vars(mmengine_registries).values()
    key = f"{scope}.{name}"
    return any(r.get(key) or r.get(name) for r in registries if isinstance(r, Registry))


def test_every_registered_class_is_used():
    register_all_modules(init_default_scope=False)
    used = {name for path in CONFIGS for _, name in _types(Config.fromfile(path))}
    registered = {
        name
        for registry in vars(our_registries).values()
        if isinstance(registry, Registry) and registry.scope == "mmregioncon"
        if registry is not our_registries.REGION_PROPOSERS  # chosen by generate_regions.py
        for name, cls in registry.module_dict.items()
        if cls.__module__.startswith("mmregioncon")
    }
    assert registered - used == UNUSED_BY_CONFIGS
