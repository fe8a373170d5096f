from . import algorithms, data_preprocessors, heads, modules

__all__ = ["algorithms", "data_preprocessors", "heads", "modules"]
