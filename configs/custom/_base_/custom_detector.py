# A small Faster R-CNN, of the modules that soco_r18-fpn_custom.py pre-trains, on the labelled
# images of my_data.py. For two CPU cores: images of short side about 224.
_base_ = [
    "../my_data.py",
    "mmdet::_base_/models/faster-rcnn_r50_fpn.py",
    "mmdet::common/ms-90k_coco.py",
]
data = _base_.data
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    backbone=dict(depth=18, frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=128, norm_cfg=norm_cfg),
    # Anchors of 16 to 256 pixels instead of 32 to 512: the images are small.
    rpn_head=dict(in_channels=128, feat_channels=128, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=128),
        bbox_head=dict(
            type="ConvFCBBoxHead",
            num_shared_convs=2,
            num_shared_fcs=1,
            in_channels=128,
            conv_out_channels=128,
            fc_out_channels=512,
            norm_cfg=norm_cfg,
            num_classes=len(data.classes),
        ),
    ),
    # An eighth of mmdet's RoIs an image: most of the time on a CPU goes there.
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=256),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=256)),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="RandomChoiceResize",
        scales=[(320, 192), (320, 224), (320, 256)],
        keep_ratio=True,
    ),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(320, 224), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
metainfo = dict(classes=data.classes)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        data_root=data.root,
        ann_file=data.train_json,
        data_prefix=dict(img=data.train_images),
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=True, min_size=8),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        data_root=data.root,
        ann_file=data.val_json,
        data_prefix=dict(img=data.val_images),
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data.root + data.val_json)
test_evaluator = val_evaluator

# lr for batch 8, half of the usual 0.02 for 16; `--auto-scale-lr` follows another batch size.
max_iters = 600
optim_wrapper = dict(optimizer=dict(lr=0.01), clip_grad=dict(max_norm=10.0))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
        gamma=0.1,
    ),
]
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_iters=max_iters, val_interval=200)
default_hooks = dict(checkpoint=dict(interval=200, max_keep_ckpts=2), logger=dict(interval=10))
