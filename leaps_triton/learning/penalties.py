"""The strength of a penalty, chosen by data that no step sees."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from ..kernels.checks import expect
from .learned import Learned
from .learner import Learner
from .objectives.pseudo import PseudoLikelihood

__all__ = ["ChosenPenalty", "choose_l1"]


class ChosenPenalty(NamedTuple):
    """The strength with the best held-out pseudo-likelihood, and what was learned with it."""

    l1: float
    """Of the penalty"""
    learned: Learned
    """From all data"""
    strengths: list[float]
    """Those that were tried"""
    held_out: list[float]
    """``-Σ_i log p(x_i | rest)`` per sample of held-out data, for each of them"""
    kept: list[int]
    """Couplings that are not 0, for each of them"""


def choose_l1(
    model: Any,
    data: Tensor,
    strengths: Sequence[float] = (0.1, 0.06, 0.03, 0.01),
    held_out: float = 0.2,
    refit: bool = False,
    **settings: Any,
) -> ChosenPenalty:
    """Return the penalty of pseudo-likelihood that predicts held-out data best.

    Couplings that predict best are more than those of a sparse truth: of two strengths that predict
    about alike the larger one has fewer false couplings.

    Args:
        model: one of the models.
        data: ``(samples, *shape)``; the last rows are held out.
        strengths: of ``l1``, to be tried.
        held_out: part of the data that is held out.
        refit: whether each is refitted among the couplings that it has left.
        **settings: further ones of :class:`Learner`, such as ``coupling`` and ``field``.

    Raises:
        ValueError: no strengths, nothing held out, or an argument that :class:`Learner` refuses.
    """
    expect(len(strengths) > 0, "strengths", "at least one", strengths)
    scores = []
    kept = []
    for strength in strengths:
        objective = PseudoLikelihood(l1=strength, refit=refit)
        tried = Learner(model, data, objective, held_out=held_out, record=False, **settings).run()
        expect(len(tried.history.held_out) > 0, "held_out", "a part with a row of data", held_out)
        scores.append(tried.history.held_out[-1])
        kept.append(int(tried.support().sum()))
    best = strengths[scores.index(min(scores))]
    objective = PseudoLikelihood(l1=best, refit=refit)
    learned = Learner(model, data, objective, record=False, **settings).run()
    return ChosenPenalty(best, learned, list(strengths), scores, kept)
