"""DetCo's losses (Xie et al., ICCV 2021, arXiv 2102.04803)."""

import torch
from mmengine.model import BaseModule

from mmregioncon.registry import MODELS

from .info_nce import info_nce

# Kind of the query and kind of the key; negatives are past keys
TERMS = dict(gg=("global", "global"), ll=("local", "local"), gl=("local", "global"))


def kinds_of_terms(terms):
    """What the terms of DetCo's loss need: ``(kinds of queries, kinds of keys)``, both sorted.

    Args:
        terms: some of "gg" (image to image), "ll" (patches to patches), "gl" (patches to image).

    Raises:
        ValueError: an unknown term, none, or "gl" without "gg", which alone trains the heads that
            the keys of "gl" come from.
    """
    unknown = [term for term in terms if term not in TERMS]
    if unknown or not terms:
        raise ValueError(f"model.terms={tuple(terms)} must be some of {tuple(TERMS)}")
    if "gl" in terms and "gg" not in terms:
        raise ValueError(
            f"model.terms={tuple(terms)}: the keys of 'gl' come from the global heads, and only "
            "'gg' trains those; add 'gg', or leave 'gl' out"
        )
    queries, keys = zip(*(TERMS[term] for term in terms))
    return tuple(sorted(set(queries))), tuple(sorted(set(keys)))


@MODELS.register_module()
class DetCoHead(BaseModule):
    """InfoNCE of images and patches at every stage: the sum of w_i (L_gg + L_ll + L_gl).

    Args:
        terms: those of :func:`kinds_of_terms`.
        stage_weights: w of each stage, shallow ones first.
        temperature: tau.
    """

    def __init__(
        self,
        terms=("gg", "ll", "gl"),
        stage_weights=(0.1, 0.4, 0.7, 1.0),
        temperature=0.2,
        init_cfg=None,
    ):
        super().__init__(init_cfg)
        kinds_of_terms(terms)
        self.terms = tuple(terms)
        self.stage_weights = tuple(stage_weights)
        self.temperature = temperature

    def forward(self, queries, keys, negatives):
        """Losses by name, each the weighted sum over stages.

        Args:
            queries: by kind, ``(B, L, D)`` L2-normalised.
            keys: by kind, likewise, without gradient.
            negatives: by kind, L times ``(Q, D)``.

        Returns:
            dict: ``loss_<term>``, float32 scalars.
        """
        losses = {}
        for kind in sorted({TERMS[term][1] for term in self.terms}):
            # Terms with the same keys share each pass over a queue.
            terms = [term for term in self.terms if TERMS[term][1] == kind]
            query = torch.cat([queries[TERMS[term][0]] for term in terms])
            stages = zip(
                self.stage_weights,
                query.unbind(1),
                keys[kind].repeat(len(terms), 1, 1).unbind(1),
                negatives[kind],
            )
            rows = sum(w * info_nce(*one, self.temperature, "none") for w, *one in stages)
            means = rows.view(len(terms), -1).mean(dim=1)
            losses.update(zip(terms, means))
        return {f"loss_{term}": losses[term] for term in self.terms}
