"""Networks and integrators as plain data, and back."""

from typing import Any

from torch import Tensor, nn

from ... import registry
from ...integrators.base import Integrator
from ...integrators.flows.evaluation import WithoutNoise
from ...kernels.checks import shown
from ..packing import Contents
from .naming import name_of, settings_of

__all__ = [
    "describe_integrator",
    "describe_module",
    "describe_network",
    "describe_transport",
    "rebuild_integrator",
    "rebuild_module",
    "rebuild_network",
    "rebuild_transport",
]

_NOISE = "without_noise"
"""Where a file has σ of the noise that is left out."""


def describe_network(network: object) -> Contents:
    """Return a network as data: class and settings, and its parameters and buffers.

    Args:
        network: one of the library, or a module of a registered class with settings.

    Raises:
        ValueError: If the network cannot be stored.
    """
    return describe_module(network, "network", "the transport must be None or")


def describe_transport(transport: object, path: object) -> Contents:
    """Return what a sampler follows as data; of a drift without noise, ``μ`` and ``σ``.

    Args:
        transport: a network that can be stored, or a
            :class:`~leaps_triton.integrators.WithoutNoise` of one.
        path: that of the sampler.

    Raises:
        ValueError: If the network cannot be stored, or is along another path.
    """
    if not isinstance(transport, WithoutNoise):
        return describe_network(transport)
    transport.check_path(path)
    found = describe_network(transport.drift)
    return found._replace(manifest={**found.manifest, _NOISE: transport.diffusion})


def rebuild_transport(data: dict[str, Any], tensors: dict[str, Tensor], path: Any) -> nn.Module:
    """Return the transport of :func:`describe_transport`'s data."""
    network = rebuild_network(data, tensors, path.model)
    # Other transports have no such entry.
    if _NOISE in data:
        return WithoutNoise(path, network, data[_NOISE])
    return network


def describe_module(network: object, key: str, must: str) -> Contents:
    """Return a module of a registered class as data, its tensors under a key."""
    name = name_of("network", type(network), must)
    if not isinstance(network, nn.Module):
        what = must.partition(" must")[0]
        raise ValueError(
            f"{what} must be a torch.nn.Module to be stored in a file, got {shown(network)}"
        )
    manifest = {"class": name, "settings": settings_of("network", network)}
    state = {f"{key}.{name}": value for name, value in network.state_dict().items()}
    return Contents(manifest, state)


def rebuild_network(data: dict[str, Any], tensors: dict[str, Tensor], model: object) -> nn.Module:
    """Return the network of :func:`describe_network`'s data."""
    return rebuild_module(data, tensors, "network", model)


def rebuild_module(
    data: dict[str, Any], tensors: dict[str, Tensor], key: str, model: object
) -> nn.Module:
    """Return the module of :func:`describe_module`'s data, its tensors under a key."""
    network = _empty_network(data, model)
    prefix = f"{key}."
    state = {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    # All parameters have one precision; counters and indices among the buffers keep their own.
    for value in state.values():
        if value.is_floating_point():
            network.to(value.dtype)
            break
    network.load_state_dict(state)
    return network


def _empty_network(data: dict[str, Any], model: object) -> nn.Module:
    """Return a network with its initial parameters, standing on what it stood on."""
    maker = registry.find("network", data["class"])
    settings = dict(data["settings"])
    # A user's own network may have settings of these names.
    if not callable(getattr(maker, "stand_on", None)) or "response" not in settings:
        network: nn.Module = maker(model, **settings)
        return network
    response = _empty_network(settings.pop("response"), model)
    gate = settings.pop("gate")
    standing: nn.Module = maker(model, **settings).stand_on(response, gate)
    return standing


def describe_integrator(integrator: Integrator) -> dict[str, Any]:
    """Return an integrator as data; its times are stored as a tensor.

    Raises:
        ValueError: If the integrator cannot be stored.
    """
    name = name_of("integrator", type(integrator))
    return {"class": name, "intervals": integrator.intervals, **integrator.settings}


def rebuild_integrator(data: dict[str, Any], times: Tensor) -> Integrator:
    """Return the integrator of :func:`describe_integrator`'s data."""
    settings = dict(data)
    maker = registry.find("integrator", settings.pop("class"))
    # How many intervals there are, the times tell.
    del settings["intervals"]
    # Exact: a float64 is a Python number, bit for bit.
    integrator: Integrator = maker(times.tolist(), **settings)
    return integrator
