"""What every locally equivariant network shares: features of the physics, the readout, pieces that
fit a cache.

A network gives one value a state, ``f_a(i)``, from features that do not read ``x_i``;
:class:`Equivariant` turns these into ``G_k(i | x) = f_{x_i + k}(i) - f_{x_i}(i)``. The readout of
the LEAPS paper, ``(ω_{x_i+k} - ω_{x_i})ᵀ h_i``, is ``f_a = ω_aᵀ h_i``.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels.checks import as_integer, expect
from ..kernels.hollow_network.reference import site_field, state_counts
from ..lattices.hypercubic import Lattice

__all__ = [
    "Conditions",
    "Equivariant",
    "LatticeModel",
    "StateReadout",
    "as_channels",
    "check_kernel",
    "field_input",
    "initialise",
    "local_field",
    "positions",
    "site_inputs",
    "time_network",
]


CHUNK_SITES = 16384

_HARMONICS = 3

torch.empty(31 * 2**20, dtype=torch.uint8)


class LatticeModel(Protocol):
    """What a network reads of a model."""

    lattice: Lattice
    q: int


class Conditions(Protocol):
    """The physical parameters of a call, as :class:`~leaps_triton.models.base.Conditions`."""

    @property
    def t(self) -> Tensor: ...  # noqa: D102
    @property
    def beta(self) -> Tensor: ...  # noqa: D102
    @property
    def coupling(self) -> Tensor: ...  # noqa: D102
    @property
    def field(self) -> Tensor: ...  # noqa: D102


class _Piece(NamedTuple):
    t: Tensor
    beta: Tensor
    coupling: Tensor
    field: Tensor


def initialise(module: nn.Module, seed: int) -> None:
    """Uniform weights of variance ``1 / inputs`` and biases of 0, by a seed."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            bound = math.sqrt(3.0 / parameter[0].numel())
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        elif parameter.ndim == 1:
            nn.init.zeros_(parameter)


def as_channels(q: int) -> int:
    """Channels of :func:`embed`: one of ±1 says all about ``q = 2``; otherwise one a state."""
    return 1 if q == 2 else q


def local_field(
    configurations: Tensor,
    conditions: Conditions,
    q: int,
    periodic: Sequence[bool],
    dtype: torch.dtype,
) -> Tensor:
    """``Σ_j J_ij [x_j = a]``, ``(walkers, q, *shape)``; it does not read ``x_i``."""
    return state_counts(configurations, conditions.coupling, q, periodic, dtype)


def field_input(conditions: Conditions, q: int, dtype: torch.dtype) -> Tensor:
    """The external field without what all states share, ``(1, as_channels(q), *shape or 1s)``."""
    return site_field(conditions.field.to(dtype))


def site_inputs(
    conditions: Conditions,
    shape: Sequence[int],
    q: int,
    periodic: Sequence[bool],
    dtype: torch.dtype,
) -> Tensor:
    """Couplings of the ``2 ndim`` bonds of every site, and its field: ``(1, 2 ndim +
    as_channels(q), *shape)``.
    """
    ndim = len(shape)
    coupling = conditions.coupling.to(dtype).expand(-1, ndim, *shape)
    bonds = []
    for axis, wraps in enumerate(periodic):
        forward = coupling[:, axis : axis + 1]
        if not wraps:
            forward = forward.clone()
            forward.select(axis + 2, -1).fill_(0.0)
        bonds += [forward, forward.roll(1, axis + 2)]
    field = field_input(conditions, q, dtype)
    return torch.cat([*bonds, field.expand(-1, -1, *shape)], 1)


def positions(
    shape: Sequence[int], periodic: Sequence[bool], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Waves of each direction at every site, ``(sites, 2 · 3 · ndim)``: whole ones where periodic,
    half where open.
    """
    waves = []
    for length, wraps in zip(shape, periodic, strict=True):
        angle = (
            (2.0 if wraps else 1.0) * math.pi * torch.arange(length, dtype=torch.float64) / length
        )
        lines = [f(n * angle) for n in range(1, _HARMONICS + 1) for f in (torch.cos, torch.sin)]
        waves.append(torch.stack(lines, 1))
    grid = torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")
    rows = [wave[index.flatten()] for wave, index in zip(waves, grid, strict=True)]
    return torch.cat(rows, 1).to(dtype).to(device)


def time_network(width: int, outputs: int) -> nn.Sequential:
    """Of ``t`` and ``β_t``."""
    return nn.Sequential(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, outputs))


def check_kernel(kernel_size: int, shape: Sequence[int], periodic: Sequence[bool]) -> None:
    """Refuse a kernel that reaches around the lattice back to the site itself, which would not be
    hollow.
    """
    radius = kernel_size // 2
    for length, wraps in zip(shape, periodic, strict=True):
        if wraps and length <= radius:
            raise ValueError(
                f"kernel_size {kernel_size} has radius {radius}, which reaches around a periodic direction of "
                f"length {length} back to the site itself; use kernel_size <= {2 * length - 1} "
                f"(shape {tuple(shape)})"
            )


class Equivariant(nn.Module):
    """A locally equivariant network made from :meth:`values`, which must not let site ``i`` read
    ``x_i``.

    Args:
        model: gives ``q``, the number of dimensions and the boundaries; couplings, field and β come
            with each call.
        settings: the other arguments of the network, as plain data that a file can keep.
    """

    def __init__(self, model: LatticeModel, **settings: Any) -> None:
        super().__init__()
        has_lattice = isinstance(getattr(model, "lattice", None), Lattice) and hasattr(model, "q")
        expect(has_lattice, "model", "a model with lattice and q", model)
        self.settings = settings
        self.q, self.ndim, self.periodic = model.q, model.lattice.ndim, model.lattice.periodic

    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``f_a(i)``, ``(walkers, q, *shape)``."""
        raise NotImplementedError

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse a lattice that the network is not for.

        Raises:
            ValueError: another dimension, or what the network cannot treat.
        """
        if len(shape) != self.ndim:
            raise ValueError(
                f"this network is for {self.ndim}-dimensional lattices, got shape {tuple(shape)}"
            )

    def time_input(self, conditions: Conditions, dtype: torch.dtype) -> Tensor:
        """``(1 | walkers, 2)``."""
        return torch.stack([conditions.t, conditions.beta], dim=1).to(dtype)

    def _network(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        values = self.values(configurations, conditions)
        state = configurations.long().unsqueeze(1)
        shifts = torch.arange(1, self.q, device=state.device).view(1, -1, *[1] * self.ndim)
        return values.gather(1, (state + shifts) % self.q) - values.gather(1, state)

    def _check_conditions(self, configurations: Tensor, conditions: Conditions) -> None:
        given: dict[str, Any] = {name: getattr(conditions, name, None) for name in _Piece._fields}
        expect(
            all(isinstance(value, Tensor) for value in given.values()), "conditions", "those of a path at a time",
            conditions,
        )  # fmt: skip
        walkers = (1, len(configurations))
        lattice = [(1, length) for length in configurations.shape[1:]]
        wanted: dict[str, list[tuple[int, ...]]] = {
            "t": [walkers],
            "beta": [walkers],
            "coupling": [walkers, (1, self.ndim), *lattice],
            "field": [walkers, (self.q,), *lattice],
        }
        for name, sizes in wanted.items():
            shape = tuple(given[name].shape)
            if len(shape) != len(sizes) or any(
                n not in size for n, size in zip(shape, sizes, strict=True)
            ):
                shown = ", ".join(" | ".join(map(str, sorted(set(size)))) for size in sizes)
                raise ValueError(f"{name} of the conditions must have shape ({shown}), got {shape}")

    def forward(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``G``, ``(walkers, q-1, *shape)``.

        Raises:
            ValueError: configurations or conditions of another model or number of walkers; values
                of configurations are checked on a CPU alone.
        """
        integers = isinstance(configurations, Tensor) and configurations.dtype in (
            torch.int8,
            torch.int32,
            torch.int64,
        )
        expect(
            integers and configurations.ndim > 0,
            "configurations",
            "a tensor of integers",
            configurations,
        )
        self.check_shape(configurations.shape[1:])
        self._check_conditions(configurations, conditions)
        # On a GPU the look would wait for it.
        if configurations.device.type == "cpu" and configurations.numel():
            low, high = (int(end) for end in configurations.aminmax())
            expect(
                0 <= low <= high < self.q,
                "configurations",
                f"of values 0 to {self.q - 1}",
                [low, high],
            )
        if (
            configurations.device.type != "cpu"
            or torch.is_grad_enabled()
            or not len(configurations)
        ):
            return self._network(configurations, conditions)
        # Pieces whose activations stay in a CPU's cache: four times faster than all at once.
        walkers = max(1, CHUNK_SITES // configurations[0].numel())
        pieces = []
        for start in range(0, len(configurations), walkers):
            rows = slice(start, start + walkers)
            own = (conditions.t, conditions.beta, conditions.coupling, conditions.field)
            piece = _Piece(*(value[rows] if len(value) > 1 else value for value in own))
            pieces.append(self._network(configurations[rows], piece))
        return torch.cat(pieces)


class StateReadout(Equivariant):
    """``f_a(i) = ω_aᵀ h_i`` of hollow features ``h``, and a learned multiple of ``Σ_j J_ij [x_j =
    a]``.

    Args:
        model: see :class:`Equivariant`.
        channels: of ``h``.
        local_field: whether to add the local field; the paper's readout does not.
        settings: see :class:`Equivariant`.
    """

    def __init__(
        self, model: LatticeModel, channels: int, local_field: bool, **settings: Any
    ) -> None:
        counts = {
            name: value for name, value in settings.items() if name != "seed" and type(value) is int
        }
        for name, value in {"channels": channels, **counts}.items():
            as_integer(name, value, 1)
        expect(isinstance(local_field, bool), "local_field", "a bool", local_field)
        super().__init__(model, channels=channels, local_field=local_field, **settings)
        self.readout = nn.Parameter(torch.empty(self.q, channels))
        self.skip = nn.Parameter(torch.tensor(0.2)) if local_field else None

    def initialise(self, seed: int) -> None:
        """As :func:`initialise`, with a small readout; not zero, since ``G = 0`` is a stationary
        point of the loss.
        """
        initialise(self, seed)
        with torch.no_grad():
            self.readout.mul_(0.1)

    def features(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``h``, ``(walkers, sites, channels)``; that of site ``i`` does not read ``x_i``."""
        raise NotImplementedError

    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``f_a(i)``, ``(walkers, q, *shape)``."""
        features = self.features(configurations, conditions)
        values = (
            F.linear(features, self.readout).transpose(1, 2).unflatten(2, configurations.shape[1:])
        )
        if self.skip is None:
            return values
        return values + self.skip * local_field(
            configurations, conditions, self.q, self.periodic, values.dtype
        )
