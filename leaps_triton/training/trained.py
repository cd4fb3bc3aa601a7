"""What a training moves: a transport, a learned path, or both."""

import copy
from typing import Any, NamedTuple

from torch import nn

from ..integrators.flows.evaluation import WithoutNoise
from ..paths.base import learned_of, velocity_of
from ..samplers.sampler import Sampler

__all__ = ["Trained", "check_noise", "followed"]


class Trained(NamedTuple):
    """A transport and the path that it goes along, with the module that holds all to be learned."""

    module: nn.Module
    """Has all parameters that are trained; the transport itself where the path has none"""
    transport: Any
    """What residuals are of"""
    path: Any
    """What residuals are along"""

    @property
    def curved(self) -> bool:
        """Return whether the path is learned."""
        return learned_of(self.path) is not None

    @classmethod
    def of(cls, sampler: Sampler) -> "Trained":
        """Return what there is to train in a sampler.

        Raises:
            ValueError: neither its transport nor its path has parameters.
        """
        path: Any = sampler.path
        learned = learned_of(path)
        transport: Any = sampler.transport
        if isinstance(transport, WithoutNoise):
            # What is trained is the drift with noise.
            transport = transport.drift
        if learned is not None and transport in (None, velocity_of(path)):
            # A gradient flow: the velocity follows from the path, and has its parameters.
            return cls(learned, _velocity(path), path)
        if not isinstance(transport, nn.Module) or not list(transport.parameters()):
            raise ValueError(
                "the sampler's transport must be an nn.Module with parameters to be trained"
            )
        if learned is None:
            return cls(transport, transport, path)
        return cls(_joined(transport, learned), transport, path)

    def copied(self) -> "Trained":
        """Return a copy with parameters of its own; a path without any is the same one."""
        if not self.curved:
            transport = copy.deepcopy(self.transport)
            return Trained(transport, transport, self.path)
        # In one go: what both of them hold stays shared between the two copies.
        path, transport = copy.deepcopy((self.path, self.transport))
        learned = learned_of(path)
        assert learned is not None
        if self.module is learned_of(self.path):
            return Trained(learned, transport, path)
        return Trained(_joined(transport, learned), transport, path)


def followed(sampler: Sampler) -> Any:
    """Return what walkers follow, whose residual tells how their weights vary."""
    if isinstance(sampler.transport, WithoutNoise):
        return sampler.transport
    return Trained.of(sampler).transport


def check_noise(sampler: Sampler, diffusion: float) -> None:
    """Refuse a training with noise of which the sampler does not know.

    Args:
        sampler: whose transport leaves out the noise that its drift is trained with.
        diffusion: ``σ`` of the training.

    Raises:
        ValueError: the transport is one of another ``σ``, or along another path.
    """
    own = 0.0
    transport = sampler.transport
    if isinstance(transport, WithoutNoise):
        own = transport.diffusion
        transport.check_path(sampler.path)
    if own != diffusion:
        raise ValueError(
            f"diffusion must be {own:g}, as in the sampler's transport, got {diffusion:g}; a drift "
            f"μ that is trained with noise σ is followed without it, by the transport "
            f"lt.integrators.WithoutNoise(path, drift, σ)"
        )


def _velocity(path: Any) -> Any:
    """Return the drift that a learned path has of its own.

    Raises:
        ValueError: it has none.
    """
    velocity = velocity_of(path)
    if velocity is None:
        raise ValueError(
            f"a {type(path).__name__} with a learned energy is trained together with a drift along "
            f"it; give the sampler a transport, such as a DenseDrift"
        )
    return velocity


def _joined(transport: nn.Module, learned: nn.Module) -> nn.Module:
    """Return one module of both."""
    return nn.ModuleDict({"transport": transport, "path": learned})
