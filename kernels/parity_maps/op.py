"""The op ``parity_map``."""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import as_integer, as_number, check_shape, expect
from ..registration import Launchers, on_cpu, put_on_cuda, taking
from . import reference
from .reference import Moved, Passing

__all__ = ["parity_map", "parity_map_op"]

SCHEMA = (
    "(Tensor configurations, Tensor sublattices, Tensor windows, Tensor own, Tensor taps, "
    "Tensor mean, Tensor hidden, Tensor readout, int[] parities, float[] steps) -> (Tensor, Tensor)"
)

_evaluated = on_cpu(reference.parity_map, __package__)


def _run(*arguments: object) -> tuple[Tensor, Tensor]:
    moved: Moved = _evaluated(Passing(*arguments))  # type: ignore[arg-type]
    return moved.configurations, moved.log_determinant


def _fake(configurations: Tensor, *arguments: object) -> tuple[Tensor, Tensor]:
    determinant = configurations.new_empty(len(configurations), dtype=torch.float64)
    return torch.empty_like(configurations), determinant


parity_map_op = custom_op("leaps_triton::parity_map", _run, mutates_args=(), schema=SCHEMA)
parity_map_op.register_fake(_fake)


def parity_map(
    configurations: Tensor,
    sublattices: Tensor,
    windows: Tensor,
    own: Tensor,
    taps: Tensor,
    mean: Tensor,
    hidden: Tensor,
    readout: Tensor,
    parities: Sequence[int],
    steps: Sequence[float],
) -> Moved:
    """Move the sites of one sublattice at once, pass after pass, and tell the log-determinant.

    A pass with step ``η`` makes ``φ_i ← φ_i + η f_i`` at the sites of its sublattice, and adds
    ``Σ_i log(1 + η ∂f_i/∂φ_i)``. ``f_i = Σ_g r_g tanh(Σ_h W_gh tanh(o_h φ_i + Σ_τ A_hτ φ_{i,τ} +
    m_h M))``, with ``φ_{i,τ}`` the sites that ``i`` reads, all of the other sublattice, and ``M``
    the mean of that sublattice; so each site's move has a Jacobian of its own, and the determinant
    is their product. The network is evaluated in the precision of its weights, at the sites that
    move alone; logarithms are of products and sums in float64.

    The kernels are for weights in float32, with a hyperbolic tangent of a rational function and
    sums in another order: fields within 1e-6 of the twin's for steps and fields of order one,
    log-determinants within 1e-6 a site. Others take the twin.

    Args:
        configurations: ``φ``, float32 or float64 ``(walkers, *shape)``, one to four lattice axes.
        sublattices: flat indices of the even, then of the odd sites, int64 ``(2, sites / 2)``.
        windows: flat indices that each of these reads, int64 ``(2, sites / 2, taps)``.
        own: ``o``, float32 or float64 ``(width,)``.
        taps: ``A``, ``(width, taps)``.
        mean: ``m``, ``(width,)``.
        hidden: ``W``, ``(width, width)``.
        readout: ``r``, ``(width,)``.
        parities: sublattice of each pass, 0 or 1.
        steps: ``η`` of each pass, finite.

    Returns:
        The fields, and the log-determinants, float64 ``(walkers,)``; NaN where a slope makes a
        site's map fall.

    Raises:
        ValueError: If a shape, dtype or device does not fit.
    """
    listed = _each("parities", parities)
    passes = tuple(as_integer("parities", parity, 0, 1) for parity in listed)
    listed = _each("steps", steps)
    lengths = tuple(as_number("steps", step, "finite", math.isfinite) for step in listed)
    expect(len(passes) == len(lengths), "parities", f"{len(lengths)} of them", parities)
    given = Passing(
        configurations, sublattices, windows, own, taps, mean, hidden, readout, passes, lengths
    )
    _check(given)
    return Moved(*parity_map_op(*given))


def _each(name: str, given: Any) -> Sequence[Any]:
    """Return a list of numbers as it was given, a tensor or an array as a list."""
    listed = given
    if isinstance(given, Tensor | np.ndarray) and given.ndim == 1:
        listed = given.tolist()
    fits = isinstance(listed, Sequence) and not isinstance(listed, str)
    expect(fits, name, "a number for each pass", given)
    return cast(Sequence[Any], listed)


def _check(given: Passing) -> None:
    """Raise a ValueError unless all arguments fit together."""
    x = given.configurations
    tensors = given._asdict()
    for name in Passing._fields[:8]:
        expect(isinstance(tensors[name], Tensor), name, "a tensor", tensors[name])
    wanted = "float32 or float64 (walkers, *shape), of one to four axes"
    floating = x.dtype in (torch.float32, torch.float64) and 2 <= x.ndim <= 5
    expect(floating, "configurations", wanted, x)
    half = math.prod(x.shape[1:]) // 2
    width = given.own.shape[0] if given.own.ndim else 0
    count = given.windows.shape[-1] if given.windows.ndim else 0
    sizes: dict[str, list[set[int]]] = {
        "sublattices": [{2}, {half}],
        "windows": [{2}, {half}, {count}],
        "own": [{width}],
        "taps": [{width}, {count}],
        "mean": [{width}],
        "hidden": [{width}, {width}],
        "readout": [{width}],
    }
    for name, size in sizes.items():
        tensor = tensors[name]
        check_shape(name, tensor, size)
        dtype = given.own.dtype
        if name in ("sublattices", "windows"):
            dtype = torch.int64
        if tensor.dtype != dtype or tensor.device != x.device:
            raise ValueError(
                f"{name} must be {dtype} on {x.device}, got {tensor.dtype} on {tensor.device}"
            )
    known = given.own.dtype in (torch.float32, torch.float64)
    expect(known, "own", "float32 or float64", given.own)
    _check_places(given, 2 * half)


def _check_places(given: Passing, sites: int) -> None:
    """Raise a ValueError for indices of no site, on a CPU."""
    # A GPU would have to be waited for.
    if given.configurations.device.type != "cpu":
        return
    for name in ("sublattices", "windows"):
        tensor = getattr(given, name)
        inside = (tensor >= 0) & (tensor < sites)
        expect(bool(inside.all()), name, f"indices of {sites} sites", tensor)


def _launchers() -> Launchers:
    from . import triton

    return [(parity_map_op, taking(Passing, triton.parity_map))]


put_on_cuda(_launchers)
