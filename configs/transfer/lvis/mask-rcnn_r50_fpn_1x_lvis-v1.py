# From any checkpoint; LVIS v1 with mmdet's repeat-factor sampling (threshold 0.001), 12 epochs
# over what it repeats, 300 detections an image. 4conv1fc head
_base_ = [
    "../_base_/models/mask-rcnn_r50_fpn_4conv1fc-syncbn.py",
    "mmdet::_base_/datasets/lvis_v1_instance.py",
    "mmdet::_base_/schedules/schedule_1x.py",
    "mmdet::_base_/default_runtime.py",
    "../_base_/init/any.py",
]
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=1203), mask_head=dict(num_classes=1203)),
    test_cfg=dict(rcnn=dict(score_thr=0.0001, max_per_img=300)),
)
val_evaluator = dict(type="mmregioncon.LVISMetric")
test_evaluator = val_evaluator
