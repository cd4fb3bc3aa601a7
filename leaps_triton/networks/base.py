"""What all locally equivariant networks share: features of the physics, readout, small pieces.

A network gives one value per state, ``f_a(i)``, from features that do not read ``x_i``;
:class:`Equivariant` turns these into ``G_k(i | x) = f_{x_i + k}(i) - f_{x_i}(i)``. The readout of
the LEAPS paper, ``(ω_{x_i+k} - ω_{x_i})ᵀ h_i``, is ``f_a = ω_aᵀ h_i``.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels.checks import as_bool, as_integer, expect, states_hint
from ..kernels.proposals.op import GAUGES
from ..lattices.graph import Graph
from ..lattices.hypercubic import Lattice, require_hypercubic
from ..models.base import Conditions, EnergyModel
from .linear_response.standing import Standing, conditions_of
from .places import Place, place_of
from .places.hypercubic import field_input, local_field, positions, site_inputs

__all__ = [
    "Equivariant",
    "StateReadout",
    "as_channels",
    "check_kernel",
    "drifts_for",
    "expect_states",
    "field_input",
    "initialise",
    "keep_freed_memory",
    "local_field",
    "place_inputs",
    "positions",
    "site_inputs",
    "time_network",
]


CHUNK_SITES = 16384
"""Sites of the walkers that a CPU evaluates at once: their activations stay in its cache."""

_INTEGERS = (torch.int8, torch.int32, torch.int64)


@cache
def keep_freed_memory() -> None:
    """Let the process keep the memory that evaluations on a CPU free; once is enough.

    The C library of Linux (glibc) hands freed blocks back to the system, and fetches them again
    page by page, until it has seen a block of up to 32 MiB freed. Seeing one halves the time of an
    evaluation; no page of it is ever touched. Measured on one thread of an AMD EPYC
    (``experiments/benchmarks/freed_memory.py``): 66 instead of 144 ms for a
    :class:`~leaps_triton.HollowConv` and 512 walkers at 16 × 16.
    """
    # Nothing holds the block, so that it is freed at once.
    torch.empty(31 * 2**20, dtype=torch.uint8)


def initialise(module: nn.Module, seed: int) -> None:
    """Draw uniform weights of variance ``1 / inputs``, by a seed, and set biases to 0."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            inputs = parameter[0].numel()
            # A uniform number in ±b has variance b² / 3.
            bound = math.sqrt(3.0 / inputs)
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        elif parameter.ndim == 1:
            nn.init.zeros_(parameter)


def as_channels(q: int) -> int:
    """Return the channels of ``embed``: one of ±1 says all about ``q = 2``, else one per state."""
    if q == 2:
        return 1
    return q


def place_inputs(
    place: Place,
    conditions: Conditions,
    shape: Sequence[int],
    dtype: torch.dtype,
) -> Tensor:
    """Return what a site is: its bonds, as its place tells them, and its field.

    Returns:
        ``(1, place.bonds + as_channels(q), *shape)``.
    """
    bonds = place.bond_inputs(conditions, shape, dtype)
    field = field_input(conditions, dtype)
    return torch.cat([bonds, field.expand(-1, -1, *shape)], 1)


def time_network(width: int, outputs: int) -> nn.Sequential:
    """Return a network of ``t`` and ``β_t``."""
    return nn.Sequential(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, outputs))


def check_kernel(kernel_size: int, shape: Sequence[int], periodic: Sequence[bool]) -> None:
    """Refuse a kernel that reaches around the lattice back to the site itself.

    Raises:
        ValueError: If it does so in a periodic direction: the network would not be hollow.
    """
    radius = kernel_size // 2
    for length, wraps in zip(shape, periodic, strict=True):
        if wraps and length <= radius:
            raise ValueError(
                f"kernel_size {kernel_size} has radius {radius}, which reaches around a periodic "
                f"direction of length {length} back to the site itself; use "
                f"kernel_size <= {2 * length - 1} (shape {tuple(shape)})"
            )


def drifts_for(model: Any) -> str:
    """Return which drifts there are for a model of real numbers, for errors."""
    lattice = getattr(model, "lattice", None)
    if isinstance(lattice, Lattice) and all(lattice.periodic):
        return "a drift of fields such as lt.HollowDrift(model)"
    return (
        "a drift of vectors: lt.DenseDrift(model), or lt.HollowDenseDrift(model) for more than 16 "
        "coordinates"
    )


def expect_states(name: str, model: Any) -> None:
    """Raise a ValueError for a model of real numbers, which have no rates between states."""
    dtype = getattr(model, "dtype", None)
    if isinstance(dtype, torch.dtype) and dtype.is_floating_point:
        raise ValueError(
            f"{name} gives rates between states, and {model!r} has configurations of {dtype}; for "
            f"these take {drifts_for(model)}"
        )


def _check_sizes(name: str, tensor: Tensor, sizes: Sequence[tuple[int, ...]]) -> None:
    """Refuse a tensor of the conditions unless each of its sizes is one of those allowed."""
    shape = tuple(tensor.shape)
    fits = len(shape) == len(sizes)
    if fits:
        fits = all(n in allowed for n, allowed in zip(shape, sizes, strict=True))
    if not fits:
        choices = [" | ".join(map(str, sorted(set(allowed)))) for allowed in sizes]
        wanted = ", ".join(choices)
        raise ValueError(f"{name} of the conditions must have shape ({wanted}), got {shape}")


class Equivariant(Standing):
    """A locally equivariant network made from values that do not read the site's own state.

    A subclass defines :meth:`values`.

    Args:
        model: gives ``q``, the number of dimensions and the boundaries; couplings, field and β come
            with each call.
        settings: the other arguments of the network, as plain data that a file can keep.

    Attributes:
        steady: whether a call looks at no number of a GPU, does the same work whatever the numbers,
            and keeps nothing for the next: then events are recorded in CUDA graphs. False for a
            subclass that does.
        gauge: ``"plain"`` where a call returns ``G``; ``"heat_bath"`` where it returns ``D``, with
            rates ``[D_k]_+ p_k`` by the probabilities ``p`` of a heat bath. A setting of this name
            sets it.
        clock: ``"t"`` where these are rates per unit of ``t``, ``"beta"`` per unit of ``β_t``.
        on_graphs: whether models on a :class:`~leaps_triton.Graph` are served, each graph by a
            network of its own; a subclass that needs no directions sets it.
    """

    on_graphs: bool = False
    steady: bool = True
    gauge: str = "plain"
    clock: str = "t"

    def __init__(self, model: EnergyModel, **settings: Any) -> None:
        super().__init__()
        lattice = getattr(model, "lattice", None)
        expect_states(type(self).__name__, model)
        complete = isinstance(lattice, Lattice | Graph) and hasattr(model, "q")
        expect(complete, "model", "a model with lattice and q", model)
        if not self.on_graphs:
            mend = "; LEM, LEA and LETransformer serve graphs (--network lem, lea, le-transformer)"
            require_hypercubic(lattice, type(self).__name__, mend)
        self.settings = settings
        if "gauge" in settings:
            gauge = settings["gauge"]
            expect(gauge in GAUGES, "gauge", f"one of {', '.join(GAUGES)}", gauge)
            self.gauge = gauge
        self.q = model.q
        self.ndim = model.lattice.ndim
        self.place = place_of(model.lattice)
        self.periodic = self.place.periodic

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse a lattice that the network is not for.

        Raises:
            ValueError: If it has another dimension, or what the network cannot treat.
        """
        if len(shape) != self.ndim:
            raise ValueError(
                f"this network is for {self.ndim}-dimensional lattices, got shape {tuple(shape)}; "
                f"make one for it by {type(self).__name__}(model)"
            )

    def check_model(self, model: EnergyModel) -> None:
        """Refuse a model that the network is not for.

        Raises:
            ValueError: If it has another number of states, or none, or a lattice that
                :meth:`check_shape` refuses.
        """
        expect_states(type(self).__name__, model)
        if model.q != self.q:
            raise self._of_another(f"{model!r} has q = {model.q}")
        self.place.check(model.lattice, type(self).__name__)
        self.check_shape(model.lattice.shape)

    def _of_another(self, found: str) -> ValueError:
        """Return the error of a model with another number of states."""
        name = type(self).__name__
        return ValueError(
            f"this {name} was made for a model of q = {self.q} states per site, and {found}; make "
            f"one for it by {name}(model)"
        )

    def time_input(self, conditions: Conditions, dtype: torch.dtype) -> Tensor:
        """Return ``t`` and ``β_t``, ``(1 | walkers, 2)``."""
        return torch.stack([conditions.t, conditions.beta], dim=1).to(dtype)

    def forward(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``G``, or ``D`` of the heat-bath gauge, ``(walkers, q-1, *shape)``.

        Args:
            configurations: integers ``(walkers, *shape)``.
            conditions: the physical parameters, as a path gives them at a time.

        Raises:
            ValueError: If configurations or conditions are those of another model or number of
                walkers; values of configurations are checked on a CPU alone.
        """
        self._check_type(configurations)
        self.check_shape(configurations.shape[1:])
        self._check_conditions(configurations, conditions)
        # On a GPU a look at the values would wait for it.
        if configurations.device.type != "cpu" or not len(configurations):
            return self._network(configurations, conditions)
        self._check_values(configurations)
        keep_freed_memory()
        if torch.is_grad_enabled():
            return self._network(configurations, conditions)
        return self._in_pieces(configurations, conditions)

    def _network(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``G`` of all walkers at once, from the values."""
        values = self.all_values(configurations, conditions)
        return self.differences(values, configurations)

    def differences(self, values: Tensor, configurations: Tensor) -> Tensor:
        """Return ``f_{x_i + k}(i) - f_{x_i}(i)``, ``(walkers, q-1, *shape)``."""
        if self.q == 2:
            # The one other state: the difference of both, in the sign of the state now.
            rise = values[:, 1:] - values[:, :1]
            return rise * (1 - 2 * configurations.unsqueeze(1))
        state = configurations.long().unsqueeze(1)
        shifts = torch.arange(1, self.q, device=state.device)
        shifts = shifts.view(1, -1, *[1] * self.ndim)
        # f of the state after each move, less f of the state now.
        moved = values.gather(1, (state + shifts) % self.q)
        stayed = values.gather(1, state)
        return moved - stayed

    def _in_pieces(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``G``, evaluated by pieces whose activations stay in a CPU's cache.

        That is four times faster than all walkers at once.
        """
        walkers = max(1, CHUNK_SITES // configurations[0].numel())
        pieces: list[Tensor] = []
        for start in range(0, len(configurations), walkers):
            rows = slice(start, start + walkers)
            part = conditions_of(rows, conditions)
            pieces.append(self._network(configurations[rows], part))
        return torch.cat(pieces)

    def _check_type(self, configurations: Tensor) -> None:
        accepted = isinstance(configurations, Tensor)
        if accepted:
            accepted = configurations.dtype in _INTEGERS and configurations.ndim > 0
        expect(accepted, "configurations", "a tensor of integers", configurations)

    def _check_values(self, configurations: Tensor) -> None:
        if not configurations.numel():
            return
        least, greatest = configurations.aminmax()
        low = int(least)
        high = int(greatest)
        if low < 0 or high >= self.q:
            raise ValueError(
                f"configurations must be of values 0 to {self.q - 1}, got {low} to {high}"
                f"{states_hint(configurations, self.q)}"
            )

    def _check_conditions(self, configurations: Tensor, conditions: Conditions) -> None:
        names = Conditions._fields
        given: dict[str, Any] = {name: getattr(conditions, name, None) for name in names}
        tensors = all(isinstance(value, Tensor) for value in given.values())
        expect(tensors, "conditions", "those of a path at a time", conditions)
        field = given["field"]
        if field.ndim > 1 and field.shape[1] != self.q:
            raise self._of_another(f"the conditions are of one of q = {field.shape[1]}")
        # Each size is 1 where walkers, directions, states or sites share a value.
        walkers = (1, len(configurations))
        lattice = [(1, length) for length in configurations.shape[1:]]
        sizes = self.place.coupling_sizes(configurations.shape[1:])
        _check_sizes("t", given["t"], [walkers])
        _check_sizes("beta", given["beta"], [walkers])
        _check_sizes("coupling", given["coupling"], [walkers, *sizes])
        _check_sizes("field", given["field"], [walkers, (self.q,), *lattice])


class StateReadout(Equivariant):
    """A network ``f_a(i) = ω_aᵀ h_i`` of hollow features ``h``, and a multiple of the local field.

    A subclass defines :meth:`features`. The multiple of ``Σ_j J_ij [x_j = a]`` is learned.

    Args:
        model: see :class:`Equivariant`.
        channels: number of values of ``h_i``.
        local_field: whether to add the local field; the paper's readout does not.
        settings: see :class:`Equivariant`.
    """

    def __init__(
        self, model: EnergyModel, channels: int, local_field: bool, **settings: Any
    ) -> None:
        as_integer("channels", channels, 1)
        local_field = as_bool("local_field", local_field)
        super().__init__(model, channels=channels, local_field=local_field, **settings)
        self.readout = nn.Parameter(torch.empty(self.q, channels))
        self.skip: nn.Parameter | None = None
        if local_field:
            self.skip = nn.Parameter(torch.tensor(0.2))

    def initialise(self, seed: int) -> None:
        """Draw weights as :func:`initialise` does, with a small readout.

        It is not zero, since ``G = 0`` is a stationary point of the loss.
        """
        initialise(self, seed)
        with torch.no_grad():
            self.readout.mul_(0.1)

    def features(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``h``, ``(walkers, sites, channels)``, where ``h_i`` must not read ``x_i``."""
        raise NotImplementedError

    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``f_a(i)``, ``(walkers, q, *shape)``."""
        features = self.features(configurations, conditions)
        by_site = F.linear(features, self.readout).transpose(1, 2)
        values = by_site.unflatten(2, configurations.shape[1:])
        if self.skip is None:
            return values
        local = self.place.local_field(configurations, conditions, self.q, values.dtype)
        return values + self.skip * local
