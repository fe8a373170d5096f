# From a method that pre-trains the backbone alone: PLRC, DetCo, MoCo v2, DenseCL
_base_ = "faster-rcnn_r18-fpn_custom.py"
custom_hooks = [dict(type="mmregioncon.LoadReportHook", modules={"backbone": "backbone."})]
