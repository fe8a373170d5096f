# DetCo's four views: two of the whole image, two of its patches in random order
_base_ = "region_loader.py"

image = [
    dict(type="RegionRandomResizedCrop", scale=224, crop_ratio_range=(0.2, 1.0)),
    _base_.flip,
    *_base_.colours,
]
# The paper names no policies and no magnitude: these are the usual ones
rand_augment = dict(
    type="mmpretrain.RandAugment",
    _scope_="mmpretrain",
    policies="timm_increasing",
    num_policies=2,
    magnitude_level=9,
    magnitude_std=0.5,
    hparams=dict(pad_val=[104, 116, 124], interpolation="bicubic"),
)
rand_image = [*image, rand_augment]
patches = [
    dict(type="RegionRandomResizedCrop", scale=255, crop_ratio_range=(0.6, 1.0)),
    _base_.flip,
    _base_.strong_jitter,
    _base_.half_blur,
    dict(type="JigsawPatches", crop_size=255, grid=3, patch_size=64),
]
# large JPEGs are decoded smaller, but the smallest crop still has a view's pixels
load_image = dict(type="LoadRegionImage", min_side=579)
train_pipeline = [
    load_image,
    dict(type="RegionMultiView", pipelines=[rand_image, rand_image, patches, patches]),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(batch_size=32, num_workers=8, dataset=dict(pipeline=train_pipeline))
