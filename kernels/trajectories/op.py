"""The op ``quartic_trajectories``."""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import as_integer, as_seed, check_fields, check_tensor, check_walkers
from ..registration import Launchers, call, on_cpu, put_on_cuda
from . import reference
from .reference import FieldSweeps, Trajectories

__all__ = ["quartic_trajectories", "quartic_trajectories_op"]


def quartic_trajectories(
    configurations: Tensor,
    mass_squared: Tensor,
    quartic: Tensor,
    scales: Tensor,
    leapfrogs: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> FieldSweeps:
    """Make sweeps of hybrid Monte Carlo for real fields of the action of :func:`lattice_action`.

    Each draws momenta, follows them by leapfrogs, and accepts with probability
    ``min(1, e^{-ΔH})``, the sums of ``H`` in float64; it leaves ``e^{-S}`` invariant.

    Args:
        configurations: Float32 or float64 ``(walkers, *shape)``, one to four lattice axes.
        mass_squared: ``m²``, float64 ``(1 | walkers,)``.
        quartic: ``λ``, float64 ``(1 | walkers,)``.
        scales: Step over the root of the mass of every mode, float64 ``(*shape)``, numbered as by
            ``torch.fft``, or ``(1,)`` for one of all sites. Modes are the real ones of Hartley,
            so that it should be the same for ``k`` and ``-k`` of each axis.
        leapfrogs: Leapfrogs of a sweep, at least 1.
        walkers: Global index of each walker, int64 ``(walkers,)``.
        first_sweep: The random numbers are those of the sweeps
            ``first_sweep … first_sweep + sweeps - 1``.
        sweeps: How many sweeps.
        seed: In [0, 2³²).

    Returns:
        FieldSweeps(configurations, accepted, acceptance, energy_error).

    Raises:
        ValueError: If shapes, types or devices do not fit.

    References:
        Duane, Kennedy, Pendleton, Roweth, *Hybrid Monte Carlo*, Phys. Lett. B 195, 216 (1987).
    """
    check_fields(configurations, mass_squared=mass_squared, quartic=quartic)
    check_walkers(len(configurations), configurations.device, torch.int64, walkers=walkers)
    check_tensor("scales", scales)
    shape = configurations.shape[1:]
    if scales.dtype != torch.float64 or scales.device != configurations.device:
        raise ValueError(
            f"scales must be float64 on {configurations.device}, got {scales.dtype} on "
            f"{scales.device}; convert it with .double() and .to()"
        )
    if scales.shape not in (shape, (1,)):
        raise ValueError(
            f"scales must have shape {tuple(shape)} or (1,), got {tuple(scales.shape)}"
        )
    return FieldSweeps(
        *call(
            quartic_trajectories_op,
            configurations,
            mass_squared,
            quartic,
            scales,
            as_integer("leapfrogs", leapfrogs, 1),
            walkers,
            as_integer("first_sweep", first_sweep, 0),
            as_integer("sweeps", sweeps, 0),
            as_seed(seed),
        )
    )


_on_cpu = on_cpu(reference.quartic_trajectories, __package__)


@custom_op("leaps_triton::quartic_trajectories", mutates_args=())
def quartic_trajectories_op(
    configurations: Tensor,
    mass_squared: Tensor,
    quartic: Tensor,
    scales: Tensor,
    leapfrogs: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.quartic_trajectories`."""
    given = Trajectories(
        configurations, mass_squared, quartic, scales, leapfrogs, walkers, first_sweep, sweeps, seed
    )
    made: Any = _on_cpu(given)
    field = made.configurations
    # The result of an op may not be its input, as it would be after no sweep at all.
    if field is configurations:
        field = field.clone(memory_format=torch.contiguous_format)
    # Nor may results share memory, as rows of one array do.
    return field, made.accepted.clone(), made.acceptance.clone(), made.energy_error.clone()


@quartic_trajectories_op.register_fake
def _(
    configurations: Tensor,
    mass_squared: Tensor,
    quartic: Tensor,
    scales: Tensor,
    leapfrogs: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    accepted = configurations.new_empty(len(configurations), dtype=torch.float64)
    field = configurations.new_empty(configurations.shape)
    return field, accepted, torch.empty_like(accepted), torch.empty_like(accepted)


def _launchers() -> Launchers:
    from . import triton

    return [(quartic_trajectories_op, triton.quartic_trajectories)]


put_on_cuda(_launchers)
