"""Networks that stand on a response: what they compute themselves is added to it."""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor, nn

from ...kernels.checks import expect, is_real
from ...models.base import Conditions
from ...registry import name_of

__all__ = ["Made", "Standing", "as_gate", "conditions_of"]

Made: TypeAlias = Callable[[Tensor, Conditions, Tensor | None], Tensor]
"""What makes values ``f_a(i)`` of configurations under conditions: those of some walkers of a call,
by their place in it, or None for all."""


def conditions_of(rows: slice | Tensor, conditions: Conditions) -> Conditions:
    """Return the conditions of some walkers; what all walkers share has one row."""
    shared = (conditions.t, conditions.beta, conditions.coupling, conditions.field)
    own: list[Tensor] = []
    for value in shared:
        if len(value) > 1:
            value = value[rows]
        own.append(value)
    return Conditions(*own)


class Standing(nn.Module):
    """A module of values ``f_a(i)`` that may stand on another one, the response.

    Attributes:
        response: what it stands on; None for nothing.
        gate: between which ``β_t / β_last`` its own values come in; None for everywhere.
        bears: whether others may stand on it.
        beta: ``β`` up to which its own values are meant; None for no limit.
    """

    response: Any
    gate: tuple[float, float] | None
    beta: float | None = None
    clock: str
    gauge: str
    settings: dict[str, Any]
    bears: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.response = None
        self.gate = None

    @property
    def reads_all(self) -> bool:
        """Whether the whole lattice is read, whatever ``reach`` says: a response does so."""
        return self.response is not None

    @property
    def known_beta(self) -> float | None:
        """The inverse temperature farthest from 0 that the values are for; None for no limit."""
        if self.response is None:
            return self.beta
        known: float | None = self.response.known_beta
        return known

    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``f_a(i)``, ``(walkers, q, *shape)``, which must not read ``x_i``."""
        raise NotImplementedError

    def stand_on(self, response: Any, gate: Sequence[float] | None = (0.3, 0.45)) -> Self:
        """Add this network's values to those of a linear response, from now on.

        The values become ``f = response + g(u) · own``, with ``u = β_t / β_last`` and ``β_last``
        the last of the response; ``g`` rises smoothly from 0 to 1 between the two ends of the gate.
        Below it the response alone is nearly exact, and what a network adds there only disturbs.
        Rates are then per unit of β (``clock`` is ``"beta"``). The response is not trained; files
        keep it.

        Args:
            response: of :func:`~leaps_triton.linear_response`, for the same lattice.
            gate: where the network's own values begin, and where they are all there; None for
                everywhere.

        Returns:
            The network itself.

        Raises:
            ValueError: If this is no response, it is for another number of states, the gauges
                differ, or the gate does not rise.

        Example:
            >>> import leaps_triton as lt
            >>> model = lt.Ising((4, 4), beta=0.3)
            >>> response = lt.networks.LinearResponse(model)
            >>> network = lt.LEM(model, channels=2, width=4)
            >>> network.stand_on(response).clock
            'beta'
        """
        fits = isinstance(response, Standing) and response.bears
        expect(fits and response is not self, "response", "a LinearResponse", response)
        if response.q != self.q:
            raise ValueError(
                f"the response is for q = {response.q} states per site, and this network for "
                f"q = {self.q}; fit one to samples of the network's own model"
            )
        if response.gauge != self.gauge:
            raise ValueError(
                f"the response is in the gauge {response.gauge!r}, and this network in "
                f"{self.gauge!r}; make the network with gauge={response.gauge!r}"
            )
        self.gate = as_gate(gate)
        self.response = response
        self.clock = "beta"
        kept = None
        if self.gate is not None:
            kept = list(self.gate)
        name = name_of("network", type(response))
        described = {"class": name, "settings": dict(response.settings)}
        self.settings = {**self.settings, "response": described, "gate": kept}
        return self

    def all_values(
        self, configurations: Tensor, conditions: Conditions, made: Made | None = None
    ) -> Tensor:
        """Return the network's values, with those that it stands on.

        Args:
            configurations: ``(walkers, *shape)``.
            conditions: those of the call.
            made: what makes the network's own values in the place of :meth:`values`.
        """
        if made is None:
            made = self._made
        if self.response is None:
            return made(configurations, conditions, None)
        self.response.check_shape(configurations.shape[1:])
        base: Tensor = self.response.values(configurations, conditions)
        if self.gate is None:
            own = made(configurations, conditions, None)
            return base.to(own.dtype) + own
        share = self._opened(conditions.beta)
        rows: Tensor | None = None
        # On a GPU a look at the numbers would wait for it; gradients are wanted even if all are 0.
        if share.device.type == "cpu" and not torch.is_grad_enabled():
            opened = share.nonzero().squeeze(1)
            if not len(opened):
                return base.to(self._precision(base))
            # Walkers before the gate are left out: what they would add is 0.
            if len(opened) < len(share):
                rows = opened
        if rows is None:
            own = made(configurations, conditions, None)
            share = share.to(own.dtype).view(-1, *[1] * (own.ndim - 1))
            return base.to(own.dtype) + share * own
        own = made(configurations[rows], conditions_of(rows, conditions), rows)
        share = share[rows].to(own.dtype).view(-1, *[1] * (own.ndim - 1))
        return base.to(own.dtype).index_add(0, rows, share * own)

    def _precision(self, values: Tensor) -> torch.dtype:
        """Return the type of the parameters; that of some values for a network without any."""
        for parameter in self.parameters():
            return parameter.dtype
        return values.dtype

    def _made(self, configurations: Tensor, conditions: Conditions, rows: Tensor | None) -> Tensor:
        """Return :meth:`values`, which are the same whichever walkers of a call they are of."""
        return self.values(configurations, conditions)

    def _opened(self, beta: Tensor) -> Tensor:
        """Return how far the gate is open, 0 … 1, ``(1 | walkers,)``."""
        assert self.gate is not None
        first, last = self.gate
        way = (beta / self.response.last_beta - first) / (last - first)
        way = way.clamp(0.0, 1.0)
        # Smooth at both ends, and 0 and 1 exactly beyond them.
        return way * way * (3.0 - 2.0 * way)


def as_gate(gate: object) -> tuple[float, float] | None:
    """Return the two ends of a gate as numbers.

    Args:
        gate: None for no gate.

    Raises:
        ValueError: If they are no two numbers that rise.
    """
    if gate is None:
        return None
    wanted = "None or two increasing numbers, where it begins to open and where it is open"
    fits = isinstance(gate, Sequence) and len(gate) == 2 and is_real(torch.tensor(gate))
    expect(fits, "gate", wanted, gate)
    first, last = (float(end) for end in gate)  # type: ignore[attr-defined]
    expect(first < last, "gate", wanted, gate)
    return first, last
