# 10 % of COCO's labels, 12k iterations: the first of five draws of tools/misc/split_coco.py
_base_ = "mask-rcnn_r50_fpn-2fc_12k_coco.py"
train_dataloader = dict(dataset=dict(ann_file="semi_anns/instances_train2017.1@10.json"))
