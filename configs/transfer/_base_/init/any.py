# Any ResNet checkpoint: the backbone, and of the FPN and the box head's trunk what is in it and
# fits as a whole. Of a C4 model the last stage comes from its shared head. The names without
# "backbone." are torchvision's, of `load_from=torchvision://resnet50` for instance.
custom_imports = dict(imports=["mmregioncon"], allow_failed_imports=False)
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
