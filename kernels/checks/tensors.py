"""Tensors among the arguments of ops: shape, type and device."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .arguments import as_integer, as_periodic, as_seed, expect

__all__ = [
    "check_axes", "check_colours", "check_configurations", "check_fields",
    "check_floating", "check_lattice", "check_model", "check_rates", "check_shape", "check_sweeps",
    "check_tensor", "check_walkers",
]  # fmt: skip


def check_tensor(name: str, value: object) -> None:
    """Refuse what is not a tensor."""
    expect(isinstance(value, Tensor), name, "a tensor", value)


def check_configurations(configurations: Tensor) -> None:
    """Refuse configurations that are not int8."""
    check_tensor("configurations", configurations)
    if configurations.dtype != torch.int8:
        raise ValueError(
            f"configurations must be int8, got {configurations.dtype}; convert with .to(torch.int8)"
        )


def check_lattice(configurations: Tensor, periodic: Sequence[bool]) -> None:
    """Refuse configurations whose directions are not those of the boundaries, or beyond four."""
    check_axes("configurations", "walkers", configurations, 1, periodic)


def check_axes(
    name: str, leading: str, tensor: Tensor, before: int, periodic: Sequence[bool]
) -> None:
    """Refuse a tensor that has not one lattice axis per boundary after its leading axes."""
    axes = tensor.ndim - before
    if axes != len(periodic) or not 1 <= axes <= 4:
        raise ValueError(
            f"{name} must be ({leading}, *shape) with {len(periodic)} lattice axes (1 to 4), "
            f"got {tuple(tensor.shape)}"
        )


def check_floating(name: str, dtype: torch.dtype) -> None:
    """Refuse any type but float32 and float64."""
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64, got {dtype}")


def check_shape(name: str, tensor: Tensor, sizes: Sequence[set[int]]) -> None:
    """Refuse a tensor one of whose axes has none of the sizes given for it."""
    fits = tensor.ndim == len(sizes)
    if fits:
        fits = all(n in allowed for n, allowed in zip(tensor.shape, sizes, strict=True))
    if not fits:
        wanted = ", ".join(" | ".join(map(str, sorted(allowed))) for allowed in sizes)
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(tensor.shape)}")


def check_model(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor | None,
    periodic: Sequence[bool],
) -> tuple[bool, ...]:
    """Return the boundaries; refuse tables of a model that do not fit the configurations."""
    check_configurations(configurations)
    tables = {"coupling": coupling, "bond_table": bond_table, "site_table": site_table}
    for name, tensor in tables.items():
        check_tensor(name, tensor)
    boundaries = as_periodic(periodic)
    check_lattice(configurations, boundaries)
    walkers, *shape = configurations.shape
    # A table without axes has no states, and no size fits it.
    q = 0
    if bond_table.ndim:
        q = bond_table.shape[0]
    # Where a table is the same for all sites its lattice axes have size 1.
    lengths = [{1, length} for length in shape]
    sizes: dict[str, list[set[int]]] = {
        "coupling": [{1, walkers}, {1, len(shape)}, *lengths],
        "bond_table": [{q}, {q}],
        "site_table": [{1, walkers}, {q}, *lengths],
        "beta": [{1, walkers}],
    }
    if beta is not None:
        tables["beta"] = beta
    for name, tensor in tables.items():
        check_shape(name, tensor, sizes[name])
        if tensor.dtype != torch.float64:
            raise ValueError(
                f"{name} must be float64, got {tensor.dtype}; convert it with .double()"
            )
        if tensor.device != configurations.device:
            raise ValueError(
                f"{name} is on {tensor.device}, configurations on {configurations.device}; "
                "move one of them"
            )
    return boundaries


def check_fields(configurations: Tensor, **couplings: Tensor) -> None:
    """Refuse what are no real fields ``(walkers, *shape)``, and couplings that do not fit them."""
    check_tensor("configurations", configurations)
    check_floating("configurations", configurations.dtype)
    if not 2 <= configurations.ndim <= 5:
        raise ValueError(
            "configurations must be (walkers, *shape) with 1 to 4 lattice axes, got "
            f"{tuple(configurations.shape)}"
        )
    for name, coupling in couplings.items():
        check_tensor(name, coupling)
        check_shape(name, coupling, [{1, len(configurations)}])
        if coupling.dtype != torch.float64 or coupling.device != configurations.device:
            raise ValueError(
                f"{name} must be float64 on {configurations.device}, got {coupling.dtype} on "
                f"{coupling.device}; convert it with .double() and .to()"
            )


def check_walkers(count: int, device: torch.device, dtype: torch.dtype, **tensors: Tensor) -> None:
    """Refuse tensors that are not one number of this type per walker, on this device."""
    for name, tensor in tensors.items():
        check_tensor(name, tensor)
        if tensor.shape != (count,) or tensor.device != device:
            raise ValueError(
                f"{name} must have shape ({count},) on {device}, "
                f"got {tuple(tensor.shape)} on {tensor.device}"
            )
        if tensor.dtype != dtype:
            raise ValueError(f"{name} must be {dtype}, got {tensor.dtype}")


def check_sweeps(given: Any, least: int) -> Any:
    """Return arguments of sweeps with whole numbers for which; refuse walkers that do not fit.

    Args:
        given: Record of an op with configurations, walkers, first_sweep, sweeps and seed.
        least: Number of sweeps, at least.
    """
    x = given.configurations
    check_walkers(len(x), x.device, torch.int64, walkers=given.walkers)
    return given._replace(
        first_sweep=as_integer("first_sweep", given.first_sweep, 0),
        sweeps=as_integer("sweeps", given.sweeps, least),
        seed=as_seed(given.seed),
    )


def check_colours(configurations: Tensor, colours: Tensor) -> None:
    """Refuse colours that are no integers ``(*shape)``."""
    check_tensor("colours", colours)
    shape = configurations.shape[1:]
    if colours.shape != shape:
        raise ValueError(f"colours must have shape {tuple(shape)}, got {tuple(colours.shape)}")
    integers = colours.dtype in (torch.int8, torch.int32, torch.int64)
    expect(integers, "colours", "a tensor of integers", colours)


def check_rates(configurations: Tensor, rates: Tensor) -> None:
    """Refuse rates that are not one per move of these configurations."""
    check_configurations(configurations)
    check_tensor("rates", rates)
    expect(configurations.ndim > 1, "configurations", "of shape (walkers, *shape)", configurations)
    count, *shape = configurations.shape
    if rates.ndim != len(shape) + 2 or (rates.shape[0], *rates.shape[2:]) != (count, *shape):
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"rates must be ({count}, q-1, {wanted}), got {tuple(rates.shape)}")
    check_floating("rates", rates.dtype)
