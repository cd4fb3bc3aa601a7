"""Coupling from the past: exact samples of large ferromagnets.

A Markov chain says by itself when it has converged. Heat-bath sweeps with given random numbers keep
the order ``x ≤ y`` of configurations. So where the chain from all down and the chain from all up,
both begun ``T`` sweeps ago, have met at present, every chain has: the common configuration is a
sample of ``ρ``. Samples whose chains have not met begin twice as long ago, with the same random
numbers for the sweeps that both runs share.
"""

from typing import Any

import torch
from torch import Tensor

from ..kernels.checks import as_device, as_integer, as_seed
from ..models.base import SweepPlan
from ..models.pair import PairModel, is_pair_model

__all__ = ["coupling_from_the_past"]


# Sweeps are numbered up to this one at time 0, so that a sweep keeps its random numbers however
# early the start.
_PRESENT = 2**30

_FIRST_START = 8


@torch.no_grad()
def coupling_from_the_past(
    model: PairModel,
    n: int,
    seed: int = 0,
    max_sweeps: int = 2**16,
    device: torch.device | str | None = None,
) -> Tensor:
    """Return independent exact samples of a two-state ferromagnet, fields allowed.

    The time grows with the correlation time, hence quickly beyond the critical point, unless a
    field decides.

    Args:
        model: a :class:`~leaps_triton.PairModel` of two states with
            ``β J (φ(0, 0) + φ(1, 1) - φ(0, 1) - φ(1, 0)) ≥ 0`` for every bond.
        n: number of samples; the first ones do not depend on how many are asked for.
        seed: in [0, 2³²). Random numbers are those of the model's heat bath, float32 thresholds
            included.
        max_sweeps: how many sweeps ago chains begin at the earliest.
        device: where to compute; None for CUDA where there is a CUDA device, else the CPU.

    Returns:
        int8 ``(n, *shape)`` on that device.

    Raises:
        ValueError: the model is not monotone, or an argument is out of range.
        RuntimeError: chains have not met after ``max_sweeps``. Dropping these samples would bias
            the rest.

    References:
        J. Propp, D. Wilson, *Exact sampling with coupled Markov chains and applications to
        statistical mechanics*, Random Struct. Alg. 9, 223 (1996).

    Example:
        >>> from leaps_triton import Ising
        >>> coupling_from_the_past(Ising((32, 32), beta=0.3), n=2, device="cpu").shape
        torch.Size([2, 32, 32])
    """
    _check_monotone(model)
    n = as_integer("n", n, 1, 2**31)
    max_sweeps = as_integer("max_sweeps", max_sweeps, 1, _PRESENT)
    seed = as_seed(seed)
    place = as_device(device)
    samples = torch.empty(n, *model.shape, dtype=model.dtype, device=place)
    apart = torch.arange(n, device=place)
    sweeps = min(_FIRST_START, max_sweeps)
    while True:
        low, high = _run(model, apart, sweeps, seed)
        met = (low == high).flatten(1).all(1)
        samples[apart[met]] = low[met]
        apart = apart[~met]
        if len(apart) == 0:
            return samples
        if sweeps == max_sweeps:
            raise RuntimeError(
                f"{len(apart)} of {n} samples had not met after {sweeps} sweeps; give a larger "
                f"max_sweeps, or take another method if the model is ordered"
            )
        sweeps = min(2 * sweeps, max_sweeps)


def _run(
    model: PairModel,
    sample_index: Tensor,
    sweeps: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Return where the chains from all down and from all up, begun ``sweeps`` ago, are now."""
    count = len(sample_index)
    device = sample_index.device
    bounds = torch.zeros(2 * count, *model.shape, dtype=model.dtype, device=device)
    bounds[count:] = 1
    beta = torch.full((1,), model.beta, dtype=torch.float64, device=device)
    # Both chains of a sample see the same random numbers.
    plan = SweepPlan(sample_index.repeat(2), _PRESENT - sweeps, sweeps, seed)
    low, high = model.heat_bath(bounds, beta, plan).chunk(2)
    return low, high


def _check_monotone(model: Any) -> None:
    """Raise a ValueError unless heat-bath sweeps keep the order of configurations."""
    if not is_pair_model(model) or model.q != 2:
        raise ValueError(f"coupling from the past needs a PairModel of two states, got {model!r}")
    table = model.bond_table
    like = table[0, 0] + table[1, 1]
    excess = model.beta * model.coupling * (like - table[0, 1] - table[1, 0])
    if not model.lattice.hypercubic:
        _check_bonds(excess, "")
        return
    for axis, wraps in enumerate(model.lattice.periodic):
        # One entry stands for all directions where the coupling is uniform.
        row = min(axis, len(excess) - 1)
        bonds = excess[row]
        if not wraps and bonds.shape[axis] > 1:
            # The last bond would leave the lattice.
            inside = bonds.shape[axis] - 1
            bonds = bonds.narrow(axis, 0, inside)
        _check_bonds(bonds, f" in direction {axis}")


def _check_bonds(bonds: Tensor, where: str) -> None:
    """Raise a ValueError where a bond favours unlike states."""
    if bool((bonds < 0).any()):
        raise ValueError(
            f"coupling from the past needs a ferromagnet, βJ ≥ 0 on every bond, got "
            f"{float(bonds.min()):g}{where}; use sample where the lattice is small enough"
        )
