# From any checkpoint of a ResNet-18: what it has and what fits whole. (A base may not replace what
# another has set: this is the hook of ../transfer/_base_/init/any.py once more, as a test checks.)
_base_ = "faster-rcnn_r18-fpn_custom.py"
custom_hooks = [
    dict(
        type="mmregioncon.LoadReportHook",
        modules={"backbone": "backbone."},
        optional={"neck": "neck.", "bbox_head trunk": "roi_head.bbox_head.shared_"},
        copies={
            "roi_head.shared_head.layer4.": "backbone.layer4.",
            "conv1.": "backbone.conv1.",
            "bn1.": "backbone.bn1.",
            "layer1.": "backbone.layer1.",
            "layer2.": "backbone.layer2.",
            "layer3.": "backbone.layer3.",
            "layer4.": "backbone.layer4.",
        },
    )
]
