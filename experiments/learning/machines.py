"""Restricted Boltzmann machines learned by several negative phases, with exact log-likelihoods."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.learning import MaximumLikelihood


@dataclass(frozen=True)
class Plan:
    """How machines are learned."""

    epochs: int
    """Passes through the data."""
    batch: int
    """Rows of data of a step."""
    learning_rate: float
    """At the beginning; it falls to 0."""
    seed: int
    """Of everything random."""

    def steps(self, rows: int) -> int:
        """Return the number of steps."""
        return self.epochs * max(1, rows // self.batch)


def machine(data: Tensor, hidden: int, scale: float, seed: int) -> lt.RBM:
    """Return a machine to start from: small weights, and the means of the data.

    Args:
        data: 0 and 1, ``(rows, visible)``.
        hidden: units.
        scale: of the weights, which are normal numbers.
        seed: of these.
    """
    generator = torch.Generator().manual_seed(seed)
    visible = data.shape[1]
    weights = scale * torch.randn(visible, hidden, generator=generator, dtype=torch.float64)
    # No unit of which the data have one state alone is certain.
    means = data.double().mean(0).clamp(1e-3, 1.0 - 1e-3)
    return lt.RBM(weights, torch.logit(means))


def learned(start: lt.RBM, data: Tensor, negative: Any, plan: Plan) -> tuple[Any, float]:
    """Return what was learned, and the seconds that it took."""
    clock = Clock(torch.device("cpu"))
    learner = lt.Learner(
        start,
        data,
        MaximumLikelihood(negative, batch=min(plan.batch, len(data))),
        start="model",
        steps=plan.steps(len(data)),
        learning_rate=plan.learning_rate,
        decay=True,
        record=False,
        seed=plan.seed,
    )
    return learner.run(), clock()


def witnessed(found: Any, exact: float) -> dict[str, Any]:
    """Return how far log Z of witnesses is from the exact one; nothing without witnesses."""
    if found.witnesses is None:
        return {}
    return {
        "log_z_off": round(found.witnesses.log_z - exact, 4),
        "log_z_error": round(found.witnesses.log_z_error, 4),
    }
