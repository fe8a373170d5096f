# CCOP pre-trains the FPN, too; the box head starts from scratch.
_base_ = "backbone.py"
custom_hooks = [
    dict(
        type="mmregioncon.LoadReportHook",
        modules={"backbone": "backbone.", "neck": "neck."},
    )
]
