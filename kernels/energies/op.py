"""The ops ``energy`` and ``local_energy``."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import check_floating, check_model, check_tensor
from ..registration import Launchers, call, on_cpu, put_on_cuda
from . import reference
from .reference import LocalEnergy, Sums

__all__ = ["energy", "energy_op", "local_energy", "local_energy_op"]

_energy = on_cpu(reference.energy, __package__)
_local_energy = on_cpu(reference.local_energy, __package__)


def energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    periodic: Sequence[bool],
) -> Sums:
    """Return the energy ``H(x)`` of every walker and its sites in each state.

    One pass over the configurations. Magnetisations ``m = Σ_a counts_a spins_a / N`` and Potts
    order parameters are functions of the counts.

    Args:
        configurations: Int8 ``(walkers, *shape)``; see :mod:`leaps_triton.kernels`, as for all up
            to ``periodic``.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        periodic: One bool per direction.

    Returns:
        Sums(energy float64 ``(walkers,)`` without β, counts int64 ``(walkers, q)``).

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations.
    """
    periodic = check_model(configurations, coupling, bond_table, site_table, None, periodic)
    return Sums(*call(energy_op, configurations, coupling, bond_table, site_table, periodic))


def local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype = torch.float32,
) -> LocalEnergy:
    """Return the energy of every walker and the log-ratio of every local move.

    ``Δ_k(i) = -β [H(x^{(i,k)}) - H(x)]`` with ``x^{(i,k)}`` the configuration after
    ``x_i → (x_i + k) mod q``.

    Args:
        configurations: Int8 ``(walkers, *shape)``; see :mod:`leaps_triton.kernels`, as for all up
            to ``periodic``.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``, float64 ``(1 | walkers,)``.
        periodic: One bool per direction.
        dtype: Precision of the log-ratios, float32 or float64; energies are always float64.

    Returns:
        LocalEnergy(energy float64 ``(walkers,)`` without β, log_ratios ``(walkers, q-1, *shape)``
        with β).

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations.
    """
    check_tensor("beta", beta)
    periodic = check_model(configurations, coupling, bond_table, site_table, beta, periodic)
    check_floating("dtype of the log-ratios", dtype)
    return LocalEnergy(
        *call(
            local_energy_op, configurations, coupling, bond_table, site_table, beta, periodic, dtype
        )
    )


@custom_op("leaps_triton::energy", mutates_args=())
def energy_op(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    periodic: Sequence[bool],
) -> tuple[Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.energy`."""
    energies, counts = _energy(configurations, coupling, bond_table, site_table, periodic)
    return energies, counts


@energy_op.register_fake
def _(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    periodic: Sequence[bool],
) -> tuple[Tensor, Tensor]:
    walkers = len(configurations)
    q = len(bond_table)
    energies = configurations.new_empty(walkers, dtype=torch.float64)
    return energies, configurations.new_empty(walkers, q, dtype=torch.int64)


@custom_op("leaps_triton::local_energy", mutates_args=())
def local_energy_op(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.local_energy`."""
    energies, log_ratios = _local_energy(
        configurations, coupling, bond_table, site_table, beta, periodic, dtype
    )
    return energies, log_ratios.contiguous()


@local_energy_op.register_fake
def _(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    walkers, *shape = configurations.shape
    log_ratios = configurations.new_empty(walkers, bond_table.shape[0] - 1, *shape, dtype=dtype)
    return configurations.new_empty(walkers, dtype=torch.float64), log_ratios


def _launchers() -> Launchers:
    from . import triton

    return [(energy_op, triton.energy), (local_energy_op, triton.local_energy)]


put_on_cuda(_launchers)
