"""MMRegionCon: region-level contrastive pre-training of mmdet detectors."""

from .compat import allow_mmengine_checkpoints, check_versions, register_config_scope
from .version import __version__

check_versions()
allow_mmengine_checkpoints()
register_config_scope()

__all__ = ["__version__"]
