"""Models as plain data, and back."""

from typing import Any

from torch import Tensor

from ... import registry
from ...lattices.graph import Graph
from ...models.densities.base import Density
from ...models.energy_only import as_given
from ...models.pair import PairModel
from ..packing import Contents
from .graphs import describe_graph, rebuild_graph
from .naming import name_of, settings_of

__all__ = ["describe_model", "rebuild_model"]


_TABLES = ("bond_table", "site_table", "coupling", "spins")
"""What, with shape, q and beta, tells all of a pair model of the library."""


_FUNCTION = (
    "the model is an lt.Density, a function, which no file can hold; to store it write a class "
    "with a name and settings: @lt.register('model', 'ring') above class Ring(lt.Density), whose "
    "__init__(self, radius) sets self.settings = {'radius': radius} and calls "
    "super().__init__(function, dim)"
)
"""What is said of a density that is given by a function alone."""


def describe_model(model: Any) -> Contents:
    """Return a model as data: what the manifest says of it, and its tables.

    Args:
        model: one of the library, or of a registered class: a pair model is known by its tables,
            any other by its settings.

    Raises:
        ValueError: If the model cannot be stored.
    """
    # A path wraps a model that has nothing but an energy.
    own = as_given(model)
    if type(own) is Density:
        raise ValueError(_FUNCTION)
    name = name_of("model", type(own))
    # A model with settings of its own may keep more than its tables tell.
    if not isinstance(own, PairModel) or hasattr(own, "settings"):
        return Contents({"class": name, "settings": settings_of("model", own)}, {})
    where = _where(own)
    manifest = {
        "class": name,
        "shape": list(own.lattice.shape),
        **where.manifest,
        "q": own.q,
        "beta": own.beta,
    }
    # On the host: a file may be read where the device of the model is not.
    tables = {f"model.{table}": getattr(own, table).detach().cpu() for table in _TABLES}
    return Contents(manifest, {**tables, **where.tensors})


def _where(model: PairModel) -> Contents:
    """Return the boundaries of a lattice, or all of a graph, as data."""
    lattice = model.lattice
    if isinstance(lattice, Graph):
        graph = describe_graph(lattice, model.interactions.rule)
        return Contents({"graph": graph.manifest}, graph.tensors)
    return Contents({"periodic": list(lattice.periodic)}, {})


def rebuild_model(data: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Return the model of :func:`describe_model`'s data."""
    maker = registry.find("model", data["class"])
    if "settings" in data:
        return maker(**data["settings"])
    stored = tensors["model.coupling"]
    coupling: float | Tensor = stored
    if stored.numel() == 1:
        # One coupling for all bonds is a number to the constructor.
        coupling = stored.item()
    elif stored[0].numel() == 1 or "graph" in data:
        # One per direction or per edge, which it takes as (ndim,) or (bonds,).
        coupling = stored.flatten()
    site_table = tensors["model.site_table"]
    # One row for all sites, which the constructor takes as (q,).
    if site_table.numel() == data["q"]:
        site_table = site_table.flatten()
    where: Any = data["shape"]
    if "graph" in data:
        where = rebuild_graph(data["graph"], tensors)
    return maker.from_tables(
        where,
        data["beta"],
        tensors["model.bond_table"],
        site_table,
        coupling,
        data.get("periodic", True),
        tensors["model.spins"],
    )
