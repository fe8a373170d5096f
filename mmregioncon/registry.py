"""Registries of MMRegionCon: children of MMEngine's roots, in scope ``mmregioncon``.

A type that is not found here is looked up in MMEngine's root registry; types of other packages
are written with their scope, e.g. ``mmdet.ResNet``. Registries that nothing of ours is in exist
too, since MMEngine warns where a scope lacks one.
"""

from mmengine import registry as root
from mmengine.registry import Registry

SCOPE = "mmregioncon"


def _child(parent, room):
    locations = [f"{SCOPE}.{room}"]
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=locations)


DATASETS = _child(root.DATASETS, "datasets")
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, "datasets")
FUNCTIONS = _child(root.FUNCTIONS, "datasets")
TRANSFORMS = _child(root.TRANSFORMS, "datasets")
MODELS = _child(root.MODELS, "models")
MODEL_WRAPPERS = _child(root.MODEL_WRAPPERS, "models")
TASK_UTILS = _child(root.TASK_UTILS, "models")
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, "models")
HOOKS = _child(root.HOOKS, "engine")
LOG_PROCESSORS = _child(root.LOG_PROCESSORS, "engine")
LOOPS = _child(root.LOOPS, "engine")
OPTIMIZERS = _child(root.OPTIMIZERS, "engine")
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, "engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, "engine")
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS, "engine")
RUNNERS = _child(root.RUNNERS, "engine")
RUNNER_CONSTRUCTORS = _child(root.RUNNER_CONSTRUCTORS, "engine")
EVALUATOR = _child(root.EVALUATOR, "evaluation")
METRICS = _child(root.METRICS, "evaluation")
VISBACKENDS = _child(root.VISBACKENDS, "visualization")
VISUALIZERS = _child(root.VISUALIZERS, "visualization")

REGION_PROPOSERS = Registry("region proposer", scope=SCOPE, locations=[f"{SCOPE}.regions"])
