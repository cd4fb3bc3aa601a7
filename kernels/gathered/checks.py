"""Checks of what lies around the sites of a graph."""

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ..checks import check_configurations, check_shape, check_tensor, expect
from ..registration import readable
from .products import writes_into

__all__ = ["check_around", "check_edges", "check_tables", "colour_type"]

_right = WeakIdKeyDictionary()
"""Tables whose indices were found right: up to which, and how often torch had written into them."""


def colour_type(num_colours: int) -> torch.dtype:
    """Return the integers that hold so many colours: int8 up to 127, else int32."""
    if num_colours > 127:
        return torch.int32
    return torch.int8


def check_tables(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor | None,
) -> None:
    """Refuse tables of a model that do not fit configurations ``(walkers, sites)``."""
    check_configurations(configurations)
    if configurations.ndim != 2:
        raise ValueError(
            f"configurations must be (walkers, sites) on a graph, got {tuple(configurations.shape)}"
        )
    walkers, sites = configurations.shape
    tables = {"coupling": coupling, "bond_table": bond_table, "site_table": site_table}
    if beta is not None:
        tables["beta"] = beta
    for name, table in tables.items():
        check_tensor(name, table)
    expect(bond_table.ndim == 2, "bond_table", "of shape (q, q)", bond_table)
    q = len(bond_table)
    expect(coupling.ndim in (1, 2), "coupling", "of shape (bonds + 1,)", coupling)
    expect(coupling.shape[-1] > 0, "coupling", "of shape (bonds + 1,)", coupling)
    sizes: dict[str, list[set[int]]] = {
        "coupling": [{coupling.shape[-1]}],
        "bond_table": [{q}, {q}],
        "site_table": [{1, walkers}, {q}, {1, sites}],
        "beta": [{1, walkers}],
    }
    if coupling.ndim == 2:
        sizes["coupling"] = [{1, walkers}, {coupling.shape[-1]}]
    for name, table in tables.items():
        check_shape(name, table, sizes[name])
        if table.dtype != torch.float64:
            raise ValueError(
                f"{name} must be float64, got {table.dtype}; convert it with .double()"
            )
        _check_device(name, table, configurations)


def check_edges(edges: Tensor, bonds: int, sites: int, beside: Tensor) -> None:
    """Refuse edges that are not int32 ``(bonds, 2)`` on the device of the tensor beside them."""
    check_tensor("edges", edges)
    check_shape("edges", edges, [{bonds}, {2}])
    _check_type("edges", edges, torch.int32)
    _check_device("edges", edges, beside)
    _check_indices("edges", edges, "sites", sites)


def check_around(
    configurations: Tensor, neighbours: Tensor, bond: Tensor, behind: Tensor, bonds: int
) -> None:
    """Refuse tables of neighbours that do not fit the sites, the ``bonds`` or one another."""
    check_tensor("neighbours", neighbours)
    sites = configurations.shape[1]
    tables = {"neighbours": neighbours, "bond": bond, "behind": behind}
    for name, table in tables.items():
        check_tensor(name, table)
        check_shape(name, table, [set(neighbours.shape[:1]), {sites}])
        _check_device(name, table, configurations)
    _check_type("neighbours", neighbours, torch.int32)
    _check_type("bond", bond, torch.int32)
    flags = behind.dtype in (torch.bool, torch.int8)
    expect(flags, "behind", "a tensor of bools or int8", behind)
    _check_indices("neighbours", neighbours, "sites", sites)
    # The last entry of the couplings is that of no edge.
    _check_indices("bond", bond, "edges", bonds + 1)


def _check_indices(name: str, table: Tensor, meaning: str, end: int) -> None:
    """Refuse indices below 0, or of ``end`` and above, at which loops would read something else.

    A table is looked at once, and again when torch has written into it. On other devices than a
    CPU a look would make the host wait, and none is taken.
    """
    if not readable(table) or not table.numel():
        return
    now = (end, writes_into(table))
    if _right.get(table) == now:
        return
    least, largest = map(int, table.aminmax())
    wanted = f"of {meaning} 0 to {end - 1}"
    expect(least >= 0, name, wanted, least)
    expect(largest < end, name, wanted, largest)
    _right[table] = now


def _check_type(name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    if tensor.dtype != dtype:
        raise ValueError(f"{name} must be {dtype}, got {tensor.dtype}; convert it with .to()")


def _check_device(name: str, tensor: Tensor, beside: Tensor) -> None:
    if tensor.device != beside.device:
        raise ValueError(
            f"{name} is on {tensor.device}, what goes with it on {beside.device}; move one of them"
        )
