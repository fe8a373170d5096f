"""How far training has come, for what depends on it."""

from mmengine.logging import MessageHub


def total_iterations(key, remedy):
    """MMEngine's ``max_iters``.

    Args:
        key: the config key that asks.
        remedy: the setting that does not need it.

    Raises:
        RuntimeError: it is not known, since no Runner has set it.
    """
    total = MessageHub.get_current_instance().get_info("max_iters")
    if total is None:
        raise RuntimeError(
            f"{key} needs MMEngine's 'max_iters', which a Runner sets; "
            f"outside of one, set it on MessageHub or use {remedy}"
        )
    return total
