"""Energies of a user's own: a ``torch.nn.Module`` from configurations to numbers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...io.packing import Contents
from ...kernels.checks import expect
from ...lattices.hypercubic import Lattice
from ...models.energy_only import CompletedModel, complete
from ...models.inputs import as_beta, as_states
from .base import Family, PseudoLikelihoodTerms, check_beta
from .conditionals import NetworkConditionals

__all__ = ["NetworkEnergy", "NetworkFamily"]


class NetworkEnergy:
    """Model whose energy is a network's, ``(walkers, *shape) → (walkers,)``.

    Configurations come to the network as numbers ``0 … q-1`` in the type of its first parameter.
    Moves are derived from energies, slowly.

    Args:
        network: the module; its parameters are what is learned.
        shape: lattice lengths.
        q: states per site.
        beta: inverse temperature.
        theta: parameters to take in place of the module's own, float64 ``(parameters,)``.

    Attributes:
        network: the module.
        lattice: a lattice of the shape, open.
        q: as given.
        beta: as given.

    Raises:
        ValueError: no module, or one without parameters.

    Example:
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(9, 1), nn.Flatten(0))
        >>> model = NetworkEnergy(network, (3, 3), q=2)
        >>> model.energy(torch.zeros(5, 3, 3, dtype=torch.int8)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int] | int,
        q: int,
        beta: float = 1.0,
        theta: Tensor | None = None,
    ) -> None:
        expect(isinstance(network, nn.Module), "network", "a torch.nn.Module", network)
        self.network = network
        self.lattice = Lattice(shape, periodic=False)
        self.q = as_states(q)
        self.beta = as_beta(beta)
        self._own = [(name, value.detach()) for name, value in network.named_parameters()]
        expect(len(self._own) > 0, "network", "one with parameters to learn", network)
        self._dtype = self._own[0][1].dtype
        if theta is None:
            theta = torch.cat([value.flatten().double() for _, value in self._own])
        self.theta = theta

    def __repr__(self) -> str:
        name = type(self.network).__name__
        return f"NetworkEnergy({name}, shape={self.lattice.shape}, q={self.q}, beta={self.beta})"

    def with_theta(self, theta: Tensor) -> "NetworkEnergy":
        """Return the same model with other parameters of the network."""
        return NetworkEnergy(self.network, self.lattice.shape, self.q, self.beta, theta)

    def described(self) -> dict[str, Any]:
        """Return what files keep of the model: all but the network and its parameters."""
        return {
            "class": type(self).__name__,
            "network": type(self.network).__name__,
            "parameters": [[name, list(value.shape)] for name, value in self._own],
            "shape": list(self.lattice.shape),
            "q": self.q,
            "beta": self.beta,
        }

    @classmethod
    def of(cls, data: dict[str, Any], network: nn.Module, theta: Tensor) -> "NetworkEnergy":
        """Return the model of :meth:`described`'s data.

        Args:
            data: of a file.
            network: a module with parameters of the same names and shapes.
            theta: its parameters in the model, float64 ``(parameters,)``.

        Raises:
            ValueError: the module has other parameters.
        """
        model = cls(network, data["shape"], data["q"], data["beta"], theta)
        own = model.described()["parameters"]
        if own != data["parameters"]:
            raise ValueError(
                f"module must have the parameters of the file's {data['network']}, "
                f"{data['parameters']}, got {own}"
            )
        return model

    def parameters(self, theta: Tensor) -> dict[str, Tensor]:
        """Return a vector of parameters by the names of the network, in its types."""
        parts = {}
        begin = 0
        for name, value in self._own:
            own = theta[begin : begin + value.numel()]
            parts[name] = own.view(value.shape).to(value.dtype)
            begin += value.numel()
        return parts

    def load(self) -> nn.Module:
        """Return the network, into which the parameters of this model are written."""
        self.network.load_state_dict(self.parameters(self.theta), strict=False)
        return self.network

    def energy_at(self, configurations: Tensor, theta: Tensor) -> Tensor:
        """Return energies at other parameters, by which they may be differentiated.

        Args:
            configurations: ``(walkers, *shape)``.
            theta: float64 ``(parameters,)``.

        Raises:
            ValueError: the network returns anything but one number per configuration.
        """
        values = self.parameters(theta)
        states = configurations.to(self._dtype)
        found: Tensor = functional_call(self.network, values, (states,))
        wanted = f"one that returns a tensor of shape ({len(configurations)},)"
        fits = isinstance(found, Tensor) and found.shape == (len(configurations),)
        expect(fits, "network", wanted, found)
        return found

    def energy(self, configurations: Tensor) -> Tensor:
        """Return ``H(x)`` without β, ``(walkers,)``."""
        return self.energy_at(configurations, self.theta).detach()


class NetworkFamily(Family):
    """The energies of one network, which differ in its parameters.

    Args:
        model: one of them, with β above 0.
    """

    fixed_moments = False
    convex = False

    def __init__(self, model: NetworkEnergy) -> None:
        check_beta(model)
        self.own = model
        self.model: CompletedModel = complete(model)
        self.settings = {"coupling": "bond", "field": None}
        self.theta = model.theta.clone()
        self.names = {"network": len(self.theta)}
        self.penalised = torch.ones(len(self.theta), dtype=torch.bool)
        self.counts = torch.ones_like(self.theta)

    def at(self, theta: Tensor) -> Any:
        """Return the model with the law ``ρ_θ``, completed with moves."""
        return complete(self.own.with_theta(theta))

    def described(self) -> Contents:
        """Return the model as data, without its network."""
        return Contents(self.own.described(), {})

    def u(self, configurations: Tensor, theta: Tensor) -> Tensor:
        """Return ``β H(x)``, float64 ``(walkers,)``."""
        energy: Tensor = self.at(theta).energy(configurations)
        return self.model.beta * energy

    def moments(
        self, configurations: Tensor, theta: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Return ``-Σ weight ∂u/∂θ`` by automatic differentiation."""
        with torch.enable_grad():
            free = theta.detach().clone().requires_grad_()
            energy = self.own.energy_at(configurations, free).double()
            if weights is None:
                total = energy.mean()
            else:
                total = (weights * energy).sum()
            (slope,) = torch.autograd.grad(total, free)
        return -self.model.beta * slope

    def conditionals(self, data: Tensor) -> PseudoLikelihoodTerms:
        """Return what pseudo-likelihood needs of data, int8 ``(samples, *shape)``."""
        return NetworkConditionals(self, data)
