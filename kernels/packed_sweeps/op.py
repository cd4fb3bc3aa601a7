"""The ops ``packed_heat_bath_sweeps`` and ``packed_metropolis_sweeps``."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import CustomOpDef, custom_op

from ..checks import (
    as_bool,
    as_number,
    as_rest,
    check_configurations,
    check_shape,
    check_sweeps,
    check_tensor,
    expect,
)
from ..registration import Launchers, call, on_cpu, put_on_cuda, taking
from . import reference
from .reference import PackedSweeps

__all__ = [
    "packed_heat_bath_sweeps", "packed_heat_bath_sweeps_op", "packed_metropolis_sweeps",
    "packed_metropolis_sweeps_op",
]  # fmt: skip

SCHEMA = (
    "(Tensor configurations, Tensor negative, float strength, float tilt, Tensor beta, "
    "Tensor walkers, SymInt first_sweep, SymInt sweeps, SymInt seed, bool backward=False, "
    "float rest=0.0, bool rows=False) -> Tensor"
)
"""Arguments of both, in the order of :class:`.reference.PackedSweeps`; Metropolis alone rests."""


def packed_heat_bath_sweeps(
    configurations: Tensor,
    negative: Tensor,
    strength: float,
    tilt: float,
    beta: Tensor,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
    backward: bool = False,
    rows: bool = False,
) -> Tensor:
    """Make heat-bath sweeps of two states on a square lattice, 32 spins to a word.

    All sites of a colour are drawn at once, colour after colour. Each site is redrawn from its law
    given its four neighbours, ``W_1 - W_0 = a Σ_j σ_ij s_j + b`` with ``s = ±1``, to 2⁻³² of a
    probability. Sites of 32 walkers are drawn with one logical operation, or with ``rows`` those of
    32 columns of a walker; the random numbers of a walker, which are not those of
    :func:`heat_bath_sweeps`, depend on its own index alone either way.

    Args:
        configurations: Int8 0 or 1, ``(walkers, L, W)``, periodic, ``L`` and ``W`` even.
        negative: Where ``σ = -1``: bool ``(2, L, W)``, entry ``[d, i]`` for the bond from site
            ``i`` in positive direction ``d``, or ``(1, 1, 1)`` for all.
        strength: ``a``, of a bond; it is 2 J for the Ising model.
        tilt: ``b``, of all sites; it is 2 h for the Ising model.
        beta: ``β``, float64 ``(1 | walkers,)``.
        walkers: Global index of each walker, int64 ``(walkers,)``; no two alike.
        first_sweep: The random numbers are those of the sweeps
            ``first_sweep … first_sweep + sweeps - 1``.
        sweeps: How many sweeps.
        seed: In [0, 2³²).
        backward: Colour 1 comes before colour 0, that of site (0, 0).
        rows: Whether a word holds 32 columns of a walker; ``W`` is then a multiple of 64.

    Returns:
        The new configurations; the given ones are left alone.

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, a length is odd,
            a number is not finite, or sweeps < 0.

    References:
        Creutz, Jacobs, Rebbi, *Monte Carlo study of Abelian lattice gauge theories*, Phys. Rev. D
        20, 1915 (1979); Bhanot, Duke, Salvador, *Multispin coding for the Ising model*, J. Stat.
        Phys. 44, 985 (1986).
    """
    given = PackedSweeps(
        configurations, negative, strength, tilt, beta, walkers, first_sweep, sweeps, seed,
        backward, 0.0, rows,
    )  # fmt: skip
    return _checked(packed_heat_bath_sweeps_op, given)


def packed_metropolis_sweeps(
    configurations: Tensor,
    negative: Tensor,
    strength: float,
    tilt: float,
    beta: Tensor,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
    backward: bool = False,
    rest: float = 0.0,
    rows: bool = False,
) -> Tensor:
    """Make Metropolis sweeps of two states on a square lattice, 32 spins to a word.

    Each site moves to the other state with probability ``(1 - ε) min(1, e^Δ)``, ``ε`` being
    ``rest``, to 2⁻³²; see :func:`packed_heat_bath_sweeps`.

    Args:
        configurations: Int8 0 or 1, ``(walkers, L, W)``, periodic, ``L`` and ``W`` even.
        negative: Where a bond has the other sign.
        strength: ``a``.
        tilt: ``b``.
        beta: ``β``.
        walkers: Global index of each walker; no two alike.
        first_sweep: Number of the first sweep.
        sweeps: How many sweeps.
        seed: In [0, 2³²).
        backward: Colour 1 comes first.
        rest: ``ε``, 0 or a power of two from 2⁻²³ to 1/2.
        rows: Whether a word holds 32 columns of a walker.

    Returns:
        The new configurations; the given ones are left alone.

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, a length is odd,
            a number is not finite, sweeps < 0, or rest is no such number.
    """
    given = PackedSweeps(
        configurations, negative, strength, tilt, beta, walkers, first_sweep, sweeps, seed,
        backward, as_rest("rest", rest), rows,
    )  # fmt: skip
    return _checked(packed_metropolis_sweeps_op, given)


def _checked(op: CustomOpDef, given: PackedSweeps) -> Tensor:
    x = given.configurations
    check_configurations(x)
    rows = as_bool("rows", given.rows)
    _check_lengths(x, rows)
    negative = given.negative
    check_tensor("negative", negative)
    expect(negative.dtype == torch.bool, "negative", "a tensor of bools", negative)
    # Signs of all bonds, or of one for all.
    lengths = {2}, {x.shape[1]}, {x.shape[2]}
    if negative.numel() == 1:
        lengths = {1}, {1}, {1}
    check_shape("negative", negative, lengths)
    check_tensor("beta", given.beta)
    expect(given.beta.dtype == torch.float64, "beta", "float64", given.beta)
    check_shape("beta", given.beta, [{1, len(x)}])
    for name, tensor in (("negative", negative), ("beta", given.beta)):
        if tensor.device != x.device:
            raise ValueError(f"{name} must be on {x.device}, got {tensor.device}")
    given = check_sweeps(given, least=0)._replace(
        strength=as_number("strength", given.strength, "a finite number", math.isfinite),
        tilt=as_number("tilt", given.tilt, "a finite number", math.isfinite),
        backward=as_bool("backward", given.backward),
        rows=rows,
    )
    after: Tensor = call(op, *given)
    return after


def _check_lengths(x: Tensor, rows: bool) -> None:
    """Refuse configurations of another lattice."""
    fits = x.ndim == 3 and x.shape[1] % 2 == 0 and x.shape[2] % 2 == 0 and x[:1].numel() > 0
    if len(x) == 0:
        fits = x.ndim == 3
    if not fits:
        raise ValueError(
            f"configurations must be (walkers, L, W) with even L and W, got {tuple(x.shape)}; "
            f"take heat_bath_sweeps or metropolis_sweeps for other lattices"
        )
    if rows and x.shape[2] % 64:
        raise ValueError(
            f"words of 32 columns need rows of a multiple of 64 sites, got {x.shape[2]}; take "
            f"rows=False"
        )


def _register(name: str, twin: Callable[[PackedSweeps], Tensor]) -> CustomOpDef:
    sweep = on_cpu(twin, __package__)

    def run(*arguments: Any) -> Tensor:
        given = PackedSweeps(*arguments)
        # The result of an op may not be its input, as it would be after no sweep at all.
        if not given.sweeps or not given.configurations.numel():
            return given.configurations.clone(memory_format=torch.contiguous_format)
        result: Tensor = sweep(given)
        return result

    def fake(configurations: Tensor, *others: Any) -> Tensor:
        return configurations.new_empty(configurations.shape)

    op = custom_op(f"leaps_triton::{name}", run, mutates_args=(), schema=SCHEMA)
    op.register_fake(fake)
    return op


packed_heat_bath_sweeps_op = _register("packed_heat_bath_sweeps", reference.packed_heat_bath_sweeps)
packed_metropolis_sweeps_op = _register(
    "packed_metropolis_sweeps", reference.packed_metropolis_sweeps
)


def _launchers() -> Launchers:
    from . import triton

    return [
        (packed_heat_bath_sweeps_op, taking(PackedSweeps, triton.packed_heat_bath_sweeps)),
        (packed_metropolis_sweeps_op, taking(PackedSweeps, triton.packed_metropolis_sweeps)),
    ]


put_on_cuda(_launchers)
