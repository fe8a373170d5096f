"""Setting up the environment, and what the command line tools share."""

from .config_check import ConfigError
from .setup_env import register_all_modules

__all__ = ["ConfigError", "register_all_modules"]
