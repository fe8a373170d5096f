"""The version of MMRegionCon."""

__version__ = "0.1.0"
