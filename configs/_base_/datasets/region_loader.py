# Images of a region file, and the transforms that all methods share
jitter = dict(
    type="RegionColorJitter", brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, prob=0.8
)
strong_jitter = dict(jitter, saturation=0.4)
grey = dict(type="RegionRandomGrayscale", prob=0.2)
blur = dict(type="RegionGaussianBlur", magnitude_range=(0.1, 2.0), magnitude_std="inf", prob=1.0)
half_blur = dict(blur, prob=0.5)
rare_blur = dict(blur, prob=0.1)
solarise = dict(type="RegionSolarize", thr=128, prob=0.2)
flip = dict(type="RegionRandomFlip", prob=0.5)

# BYOL's colours: the first view is always blurred, the others seldom, and solarised at times
colours_1 = [jitter, grey, blur]
colours_2 = [jitter, grey, rare_blur, solarise]
# MoCo v2's: every view alike
colours = [strong_jitter, grey, half_blur]

region_file = "data/imagenet/regions_train.arrow"
train_dataloader = dict(
    batch_size=256,
    num_workers=12,
    persistent_workers=False,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="mmregioncon.collate_views"),
    worker_init_fn=dict(type="mmregioncon.seed_worker"),
    dataset=dict(
        type="RegionDataset",
        region_file=region_file,
        data_root=None,
        max_bad_samples=100,
        colours_on_device=False,
    ),
)
