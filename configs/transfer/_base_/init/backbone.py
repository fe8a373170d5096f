# Where the detector's weights come from, for every transfer config: the raw pre-training
# checkpoint, given with `--cfg-options load_from=FILE`. The hook logs what was loaded and
# refuses to train when one of `modules` got nothing.
custom_imports = dict(imports=["mmregioncon"], allow_failed_imports=False)
custom_hooks = [dict(type="mmregioncon.LoadReportHook", modules={"backbone": "backbone."})]
