# The same for a detector whose FPN starts at P3, with further levels of its own above P5: each
# level's convolutions, which a pre-training counts from P2, move down by one. (Those of a
# checkpoint that starts at P3 too, a RetinaNet's, stay.)
_base_ = "any.py"
custom_hooks = _base_.custom_hooks
custom_hooks[0].optional = {
    "laterals": "neck.lateral_convs.",
    "P3": "neck.fpn_convs.0.",
    "P4": "neck.fpn_convs.1.",
    "P5": "neck.fpn_convs.2.",
}
custom_hooks[0].renames = {
    f"neck.{convs}.{level}.": f"neck.{convs}.{level - 1}."
    for convs in ("lateral_convs", "fpn_convs")
    for level in (1, 2, 3)
}
