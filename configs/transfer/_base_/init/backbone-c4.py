# A C4 detector's backbone ends at res4; its res5 is the RoI head's shared head.
_base_ = "backbone.py"
custom_hooks = [
    dict(
        type="mmregioncon.LoadReportHook",
        modules={"backbone": "backbone.", "shared_head": "roi_head.shared_head."},
    )
]
