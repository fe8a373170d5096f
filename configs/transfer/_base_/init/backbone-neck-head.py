# SoCo pre-trains the FPN and the convolutions and fc of the box head, too.
_base_ = "backbone.py"
custom_hooks = [
    dict(
        type="mmregioncon.LoadReportHook",
        modules={
            "backbone": "backbone.",
            "neck": "neck.",
            "bbox_head trunk": "roi_head.bbox_head.shared_",
        },
    )
]
