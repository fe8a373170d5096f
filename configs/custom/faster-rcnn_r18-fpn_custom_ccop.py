# From CCOP, which pre-trains backbone and FPN
_base_ = "faster-rcnn_r18-fpn_custom.py"
custom_hooks = [
    dict(
        type="mmregioncon.LoadReportHook",
        modules={"backbone": "backbone.", "neck": "neck."},
    )
]
