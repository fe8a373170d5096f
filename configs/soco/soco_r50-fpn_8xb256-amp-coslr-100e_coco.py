# COCO train2017 and unlabeled2017 in one folder, without their labels
_base_ = "./soco_r50-fpn_8xb256-amp-coslr-100e_in1k.py"

train_dataloader = dict(dataset=dict(region_file="data/coco/regions_train2017+unlabeled2017.arrow"))
