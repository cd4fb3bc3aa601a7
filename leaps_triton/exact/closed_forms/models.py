"""Models that a closed form is for: two states, one coupling, no field, on one of four tori."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from ...lattices.graph import Graph
from ...models.pair import PairModel, is_pair_model
from ..transfer import NOT_A_PAIR_MODEL
from .square import ising_energy, ising_log_z, ising_specific_heat
from .triangular import (
    honeycomb_energy,
    honeycomb_log_z,
    honeycomb_specific_heat,
    kagome_energy,
    kagome_log_z,
    kagome_specific_heat,
    triangular_energy,
    triangular_log_z,
    triangular_specific_heat,
)

__all__ = ["ClosedForm", "closed_form", "closed_obstacle", "formula_of"]


class _Torus(NamedTuple):
    """The closed forms of one torus, of its lengths, β and J."""

    log_z: Callable[[tuple[int, ...], float, float], float]
    energy: Callable[[tuple[int, ...], float, float], float]
    specific_heat: Callable[[tuple[int, ...], float, float], float]


_SQUARE = _Torus(ising_log_z, ising_energy, ising_specific_heat)
_GRAPHS = {
    "triangular": _Torus(triangular_log_z, triangular_energy, triangular_specific_heat),
    "honeycomb": _Torus(honeycomb_log_z, honeycomb_energy, honeycomb_specific_heat),
    "kagome": _Torus(kagome_log_z, kagome_energy, kagome_specific_heat),
}


class ClosedForm(NamedTuple):
    """An Ising torus, to which a model comes down but for a constant."""

    torus: _Torus
    shape: tuple[int, ...]
    """Cells in both directions"""
    sites: int
    beta: float
    coupling: float
    constant: float
    """Energy per site that does not depend on the configuration"""

    def log_z(self) -> float:
        """Return ``log Z``."""
        rest = -self.beta * self.sites * self.constant
        return rest + self.torus.log_z(self.shape, self.beta, self.coupling)

    def energy(self) -> float:
        """Return ``⟨H⟩ / N``."""
        return self.constant + self.torus.energy(self.shape, self.beta, self.coupling)

    def specific_heat(self) -> float:
        """Return ``β² var(H) / N``."""
        return self.torus.specific_heat(self.shape, self.beta, self.coupling)


def closed_form(model: PairModel) -> ClosedForm:
    """Return the Ising torus to which a model without :func:`closed_obstacle` comes down.

    Args:
        model: one whose two states are alike.
    """
    like, unlike = model.bond_table[0, :2].tolist()
    coupling = float(model.coupling.flatten()[0])
    # J φ = J (a + b)/2 + J (a - b)/2 s s'.
    strength = coupling * (like - unlike) / 2
    lattice = model.lattice
    torus = _SQUARE
    shape = lattice.shape
    # A site of the square torus has two bonds.
    constant = -coupling * (like + unlike)
    if isinstance(lattice, Graph) and lattice.origin is not None:
        torus = _GRAPHS[lattice.origin.kind]
        shape = lattice.origin.lengths
        constant = -coupling * (like + unlike) / 2 * lattice.bonds / lattice.sites
    return ClosedForm(torus, shape, lattice.sites, model.beta, strength, constant)


def closed_obstacle(model: object) -> str:
    """Return why no closed form is that of a model; empty if one is.

    Args:
        model: any.
    """
    if not is_pair_model(model):
        return NOT_A_PAIR_MODEL
    where = _where_not(model)
    if where:
        return where
    table = model.bond_table
    if model.q != 2 or not torch.equal(table, table.flip(0, 1)):
        return (
            f"the interaction is not Ising's (q = {model.q}; it needs a bond table "
            f"[[a, b], [b, a]])"
        )
    if model.site_table.any():
        return "there is a field"
    if (model.coupling != model.coupling.flatten()[0]).any():
        return "the coupling is not uniform"
    lattice = model.lattice
    # The other three tori have closed forms of either sign.
    odd = lattice.hypercubic and any(length % 2 == 1 for length in lattice.shape)
    if odd and model.beta * closed_form(model).coupling < 0:
        return f"an odd length frustrates the antiferromagnet (shape {lattice.shape})"
    return ""


def formula_of(model: object) -> str:
    """Return the name of the closed form that comes nearest, for errors.

    Args:
        model: any.
    """
    if is_pair_model(model) and isinstance(model.lattice, Graph):
        return "a closed form"
    return "Kaufman's formula"


def _where_not(model: PairModel) -> str:
    """Return why a model stands on no torus with a closed form; empty if it does."""
    lattice = model.lattice
    if isinstance(lattice, Graph):
        origin = lattice.origin
        if origin is not None and origin.kind in _GRAPHS and origin.periodic:
            return ""
        return f"the graph is no triangular, honeycomb or kagome torus ({lattice!r})"
    if lattice.ndim != 2 or not all(lattice.periodic):
        return (
            f"the lattice is not a two-dimensional torus (shape {lattice.shape}, periodic "
            f"{lattice.periodic})"
        )
    return ""
