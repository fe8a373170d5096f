from . import algorithms, data_preprocessors, heads, modules, necks

__all__ = ["algorithms", "data_preprocessors", "heads", "modules", "necks"]
