"""Fresh walkers along the recorded parameters of a learning, with exact weights."""

import itertools

import torch
from torch import Tensor

from ..kernels.checks import as_bool, as_integer, as_number, as_seed
from ..mcmc.base import Move
from ..progress import track
from ..samplers.ensemble import WeightedEnsemble
from .negatives.base import Family
from .negatives.jarzynski import block_of, ensemble_of
from .negatives.seeds import Purpose, derived_seed
from .negatives.starts import as_learning_move, started
from .negatives.weighed import Handling, WeighedWalkers, carried, is_fraction

__all__ = ["replayed"]


@torch.no_grad()
def replayed(
    family: Family,
    thetas: Tensor,
    walkers: int = 1000,
    mcmc: Move | None = None,
    resample_below: float = 0.5,
    block: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> WeightedEnsemble:
    """Return fresh walkers that follow parameters which none of them has any part in.

    So their weights are exact: an unbiased ``Z`` of the last model, whoever learned the parameters
    and however.

    Args:
        family: whose parameters they are.
        thetas: ``θ_0, θ_1, …`` in their order, float64 ``(updates + 1, parameters)``.
        walkers: their number.
        mcmc: move made after every update; None for a sweep of :class:`~leaps_triton.HeatBath`, or
            for real fields what :func:`~leaps_triton.default_move` has.
        resample_below: ESS of a block, as a fraction of it, below which it is drawn anew; 0 for
            never.
        block: walkers that are resampled among themselves; None for a twentieth of them.
        seed: in [0, 2³²); whatever it is, no random number is one of the learning.
        progress: show a progress bar on a terminal, elsewhere a line every half minute.

    Raises:
        ValueError: an argument is out of range, or not a move of weighted walkers.
        RuntimeError: a log-weight is not finite.
    """
    walkers = as_integer("walkers", walkers, 1, 2**30)
    wanted = "a fraction of the walkers in [0, 1]"
    threshold = as_number("resample_below", resample_below, wanted, is_fraction)
    if block is not None:
        block = as_integer("block", block, 1)
    size = block_of(walkers, block)
    progress = as_bool("progress", progress)
    first = family.at(thetas[0])
    move = as_learning_move(mcmc, first)
    # Seeds of their own: the walkers of the learning, drawn again, would be as biased as they were.
    own = derived_seed(as_seed(seed), Purpose.REPLAY)
    begun = started(first, walkers, move, derived_seed(own, Purpose.START))
    travelling = WeighedWalkers.begin(begun.configurations, begun.log_weights)
    handling = Handling(move, derived_seed(own, Purpose.WALKERS), threshold, size)
    with track(len(thetas) - 1, "replaying", "update", progress) as shown:
        for before, after in itertools.pairwise(thetas):
            travelling = carried(family, travelling, before, after, handling)
            shown.update()
    return ensemble_of(family.at(thetas[-1]), travelling, begun.log_z_start, handling.seed, size)
