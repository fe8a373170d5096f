# What the authors' release does: one region an image, whose points in both views are contrasted
# with those of the other images of the GPU (SupCon); prototypes in the vectors that are distilled;
# and the weights as they are executed, L_m + 0.7 (0.3 L_c + 0.3 L_a)
_base_ = "./plrc_r50_8xb32-coslr-100e_in1k.py"

model = dict(
    prototype_head=dict(
        type="PrototypeHead",
        in_channels=2048,
        hid_channels=2048,
        bottleneck_channels=256,
        out_channels=4096,
    ),
    head=dict(
        image_weight=1.0,
        contrast_weight=0.21,
        affinity_weight=0.21,
        negatives="batch",
        base_temperature=0.07,
    ),
)
train_pipeline = [
    _base_.load_image,
    dict(type="GridLabels", grid=4),
    _base_.draw_crops,
    _base_.two_views,
    dict(type="SampleRegionPoints", num_points=16, max_regions=1),
    dict(type="PackRegionInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
