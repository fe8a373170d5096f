from .online_constructor import OnlineOptimWrapperConstructor

__all__ = ["OnlineOptimWrapperConstructor"]
