"""Registries of MMRegionCon: children of MMEngine's roots, in scope ``mmregioncon``.

A type that is not found here is looked up in MMEngine's root registry; types of
other packages are written with their scope, e.g. ``mmdet.ResNet``.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

SCOPE = "mmregioncon"


def _child(name, parent, location):
    return Registry(name, parent=parent, scope=SCOPE, locations=[f"mmregioncon.{location}"])


DATASETS = _child("dataset", MMENGINE_DATASETS, "datasets")
TRANSFORMS = _child("transform", MMENGINE_TRANSFORMS, "datasets")
FUNCTIONS = _child("function", MMENGINE_FUNCTIONS, "datasets")
MODELS = _child("model", MMENGINE_MODELS, "models")
OPTIMIZERS = _child("optimizer", MMENGINE_OPTIMIZERS, "engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    "optimizer wrapper constructor", MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, "engine"
)
HOOKS = _child("hook", MMENGINE_HOOKS, "engine")
METRICS = _child("metric", MMENGINE_METRICS, "evaluation")

REGION_PROPOSERS = Registry("region proposer", scope=SCOPE, locations=["mmregioncon.regions"])
