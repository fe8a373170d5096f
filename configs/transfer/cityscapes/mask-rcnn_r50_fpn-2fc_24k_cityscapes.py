# From any checkpoint; Cityscapes instances, 24k iterations of 8 images (step at 18k), lr 0.01,
# short side 800-1024, the 2-fc head of DetCo's tables
_base_ = [
    "../_base_/models/mask-rcnn_r50_fpn_2fc-syncbn.py",
    "mmdet::_base_/datasets/cityscapes_instance.py",
    "mmdet::_base_/default_runtime.py",
    "../_base_/init/any.py",
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=8), mask_head=dict(num_classes=8)))
# One image on each of 8 GPUs; the data set is repeated, so draw without end from it once.
train_dataloader = dict(sampler=dict(type="InfiniteSampler"))
max_iter = 24000
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iter, val_interval=6000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0001),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", begin=0, end=max_iter, by_epoch=False, milestones=[18000], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=6000))
log_processor = dict(by_epoch=False)
