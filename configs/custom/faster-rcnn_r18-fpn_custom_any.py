# From any method's checkpoint: what it has and what fits whole
_base_ = "faster-rcnn_r18-fpn_custom.py"
custom_hooks = [
    dict(
        type="mmregioncon.LoadReportHook",
        modules={"backbone": "backbone."},
        optional={"neck": "neck.", "bbox_head trunk": "roi_head.bbox_head.shared_"},
    )
]
