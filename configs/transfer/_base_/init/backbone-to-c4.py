# A whole backbone for a C4 detector: its last stage (res5) becomes the RoI head's shared head.
_base_ = "backbone-c4.py"
custom_hooks = [
    dict(
        type="mmregioncon.LoadReportHook",
        modules={"backbone": "backbone.", "shared_head": "roi_head.shared_head."},
        copies={"backbone.layer4.": "roi_head.shared_head.layer4."},
    )
]
