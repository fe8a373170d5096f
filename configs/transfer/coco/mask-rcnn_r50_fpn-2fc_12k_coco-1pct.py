# 1 % of COCO's labels, 12k iterations: the first of five draws of tools/misc/split_coco.py
# (another one: --cfg-options train_dataloader.dataset.ann_file=semi_anns/...2@1.json)
_base_ = "mask-rcnn_r50_fpn-2fc_12k_coco.py"
train_dataloader = dict(dataset=dict(ann_file="semi_anns/instances_train2017.1@1.json"))
