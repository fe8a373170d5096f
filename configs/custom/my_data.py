# Your images. Copy the folder `configs/custom` (say, to `configs/mine`) and edit this file; the
# other configs of the folder read it. Paths are relative to `root`.
data = dict(
    root="data/custom/",
    # The detector's classes: names of the COCO files' categories (the order is yours).
    classes=("cat", "dog"),
    train_json="annotations/instances_train.json",
    train_images="train/",
    val_json="annotations/instances_val.json",
    val_images="val/",
    # For pre-training: made by tools/generate_regions.py, which also writes down where the
    # unlabelled images are.
    region_file="regions.arrow",
)
