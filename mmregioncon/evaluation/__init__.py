"""Metrics that say during pre-training whether it learns."""
