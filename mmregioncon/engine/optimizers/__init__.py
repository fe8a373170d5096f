from .lars import ForeachLARS
from .online_constructor import OnlineOptimWrapperConstructor

__all__ = ["ForeachLARS", "OnlineOptimWrapperConstructor"]
