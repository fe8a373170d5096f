"""Does it learn? Nearest neighbours among the frozen features of annotated objects."""

import torch.nn.functional as F


def knn_accuracy(bank, bank_labels, queries, labels, k=10, temperature=0.07):
    """Weighted cosine kNN classification (Wu et al., CVPR 2018).

    Args:
        bank: ``(N, D)`` features of labelled objects.
        bank_labels: ``(N,)`` int64 classes.
        queries: ``(M, D)`` features.
        labels: ``(M,)`` int64 classes.
        k: neighbours that vote.
        temperature: a neighbour's weight is exp(cosine / temperature).

    Returns:
        float: share of queries whose class wins the vote.
    """
    similarity = F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T
    nearest, index = similarity.topk(min(k, len(bank)))
    votes = F.one_hot(bank_labels[index], int(bank_labels.max()) + 1).float()
    scores = (votes * (nearest / temperature).exp()[..., None]).sum(dim=1)
    return (scores.argmax(dim=1) == labels).float().mean().item()
