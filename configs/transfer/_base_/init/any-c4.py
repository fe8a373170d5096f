# The same for a C4 detector: its res5 is the RoI head's shared head, filled from a C4 model's
# shared head or from the last stage of a whole backbone.
_base_ = "any.py"
custom_hooks = _base_.custom_hooks
custom_hooks[0].modules.shared_head = "roi_head.shared_head.layer4."
custom_hooks[0].optional = {}
custom_hooks[0].copies.pop("roi_head.shared_head.layer4.")
custom_hooks[0].copies["backbone.layer4."] = "roi_head.shared_head.layer4."
