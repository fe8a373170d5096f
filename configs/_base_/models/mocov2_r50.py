# MoCo v2: mmpretrain's algorithm, neck and head on mmdet's ResNet-50
model = dict(
    type="mmpretrain.MoCo",
    queue_len=65536,
    feat_dim=128,
    momentum=0.001,
    data_preprocessor=dict(type="mmregioncon.RegionDataPreprocessor"),
    backbone=dict(
        type="mmdet.ResNet",
        depth=50,
        num_stages=4,
        out_indices=(3,),
        frozen_stages=-1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        style="pytorch",
    ),
    neck=dict(
        type="mmpretrain.MoCoV2Neck",
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        with_avg_pool=True,
    ),
    head=dict(
        type="mmpretrain.ContrastiveHead",
        loss=dict(type="mmpretrain.CrossEntropyLoss"),
        temperature=0.2,
    ),
)
