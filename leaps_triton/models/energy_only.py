"""Models out of nothing but an energy of the user's own."""

from typing import Any

import torch
from torch import Tensor

from .. import kernels
from ..kernels import LocalEnergy, Stream
from ..kernels.checks import expect, shown
from ..lattices.hypercubic import Lattice
from .base import EnergyModel, Model
from .inputs import as_beta, as_spins, as_states
from .pair import PairModel, is_pair_model

__all__ = ["complete"]


class _Completed:
    """A :class:`Model` out of an :class:`EnergyModel`: every energy difference is two energies."""

    dtype = torch.int8

    def __init__(self, model: EnergyModel) -> None:
        missing = [name for name in ("lattice", "q", "beta", "energy") if not hasattr(model, name)]
        if missing:
            raise ValueError(
                f"a model needs lattice, q, beta and energy(configurations); missing: {', '.join(missing)}"
            )
        expect(isinstance(model.lattice, Lattice), "lattice of a model", "a Lattice", model.lattice)
        expect(
            callable(model.energy),
            "energy of a model",
            "a function of configurations",
            model.energy,
        )
        self.model, self.lattice, self.q, self.beta = (
            model,
            model.lattice,
            as_states(model.q),
            as_beta(model.beta),
        )
        uniform = (1,) * self.lattice.ndim
        self.coupling = torch.ones(1, *uniform, dtype=torch.float64)
        self.site_table = torch.zeros(self.q, *uniform, dtype=torch.float64)
        self.spins = as_spins(getattr(model, "spins", None), self.q)
        # That of the tables says nothing of another energy.
        own = not isinstance(model, PairModel) or "reach" in vars(type(model))
        self.reach = getattr(model, "reach", None) if own else None

    def __getattr__(self, name: str) -> Any:
        # An observable of the user's own may read what only the user's model has. Copies are asked
        # for before they have a model, and are not the user's business.
        if name.startswith("__") or "model" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(self.__dict__["model"], name)

    def __repr__(self) -> str:
        return repr(self.model)

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        energy = self.model.energy(configurations)
        if not isinstance(energy, Tensor) or energy.shape != (len(configurations),):
            raise ValueError(
                f"energy(configurations) of {type(self.model).__name__} must have shape ({len(configurations)},), "
                f"got {tuple(energy.shape) if isinstance(energy, Tensor) else shown(energy)}"
            )
        return energy.to(torch.float64)

    def local_energy(
        self, configurations: Tensor, beta: Tensor, dtype: torch.dtype = torch.float32
    ) -> LocalEnergy:
        energy = self.energy(configurations)
        flat = configurations.flatten(1)
        differences = torch.empty(
            len(flat), self.q - 1, self.lattice.sites, dtype=torch.float64, device=flat.device
        )
        for site in range(self.lattice.sites):
            for shift in range(1, self.q):
                moved = flat.clone()
                moved[:, site] = ((moved[:, site].long() + shift) % self.q).to(moved.dtype)
                differences[:, shift - 1, site] = energy - self.energy(
                    moved.view_as(configurations)
                )
        log_ratios = (beta.view(-1, 1, 1) * differences).to(dtype)
        return LocalEnergy(energy, log_ratios.view(len(flat), self.q - 1, *self.lattice.shape))

    def heat_bath(
        self,
        configurations: Tensor,
        beta: Tensor,
        walkers: Tensor,
        first_sweep: int,
        sweeps: int,
        seed: int,
        backward: bool = False,
    ) -> Tensor:
        flat = configurations.flatten(1).clone()
        for sweep in range(first_sweep, first_sweep + sweeps):
            words = kernels.reference.site_words(
                seed, Stream.SWEEP, sweep, walkers, self.lattice.sites
            )
            uniform = kernels.uniform32(words)
            sites = range(self.lattice.sites)
            for site in reversed(sites) if backward else sites:
                energies = []
                for state in range(self.q):
                    flat[:, site] = state
                    energies.append(self.energy(flat.view_as(configurations)))
                fields = -torch.stack(energies, dim=1)
                thresholds = kernels.reference.heat_bath_probabilities(fields, beta).cumsum(1)[
                    :, :-1
                ]
                flat[:, site] = (thresholds <= uniform[:, site : site + 1]).sum(1, dtype=flat.dtype)
        return flat.view_as(configurations)

    def metropolis(
        self,
        configurations: Tensor,
        beta: Tensor,
        walkers: Tensor,
        first_sweep: int,
        sweeps: int,
        seed: int,
        backward: bool = False,
    ) -> Tensor:
        flat, sites = configurations.flatten(1).clone(), range(self.lattice.sites)
        for sweep in range(first_sweep, first_sweep + sweeps):
            words = (
                kernels.reference.site_words(seed, Stream.SWEEP, sweep, walkers, len(sites), draw)
                for draw in (0, 1)
            )
            shift, uniform = next(words) * (self.q - 1) >> 32, kernels.uniform32(next(words))
            for site in reversed(sites) if backward else sites:
                moved = flat.clone()
                moved[:, site] = ((flat[:, site].long() + 1 + shift[:, site]) % self.q).to(
                    flat.dtype
                )
                change = self.energy(flat.view_as(configurations)) - self.energy(
                    moved.view_as(configurations)
                )
                accepted = uniform[:, site] < kernels.reference.metropolis_acceptance(beta * change)
                flat = torch.where(accepted.unsqueeze(1), moved, flat)
        return flat.view_as(configurations)


def complete(model: EnergyModel) -> Model:
    """``model`` itself if it is a :class:`Model`, else a wrapper that derives the rest from
    ``energy``, slowly.

    A subclass of :class:`PairModel` with an energy of its own is another model, whatever its tables
    say: it is wrapped, unless it brings the rest too.

    Raises:
        ValueError: no model; a subclass that brings a part of the rest.
    """
    if not isinstance(model, PairModel) or is_pair_model(model):
        return model if isinstance(model, Model) else _Completed(model)
    rest = ("local_energy", "heat_bath", "metropolis")
    inherited = [name for name in rest if getattr(model.__class__, name) is getattr(PairModel, name)]
    if 0 < len(inherited) < len(rest):
        raise ValueError(
            f"{type(model).__name__} has its own energy, and {', '.join(inherited)} of PairModel, which are those "
            f"of another energy; define all of {', '.join(rest)}, or none"
        )
    return _Completed(model) if inherited else model
