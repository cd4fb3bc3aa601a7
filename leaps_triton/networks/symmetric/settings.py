"""What a symmetric network is made from; and its parameters put into another network.

A larger network, or one for another lattice, keeps the function as it is: what is new is not read
by what was there.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...kernels.checks import as_bool, as_integer, as_number, as_seed, expect
from ...models.pair import PairModel
from .geometry import Orbits, offsets_of
from .inputs import Sight
from .layers import Stack

__all__ = [
    "alike",
    "checked",
    "copy_layers",
    "first_columns",
    "grown",
    "move_skip",
    "varies",
]


def checked(given: dict[str, Any], model: PairModel) -> dict[str, Any]:
    """Return the settings of a network as files keep them.

    Args:
        given: arguments of :class:`~leaps_triton.SymmetricConv` by their names.
        model: the network's.

    Raises:
        ValueError: one of them is out of range, or ``whole`` has no window beside it.
    """
    found = dict(given)
    size = as_integer("kernel_size", given["kernel_size"], 1, 63)
    expect(size % 2 == 1, "kernel_size", "odd and positive", size)
    found["kernel_size"] = size
    found["widths"] = _as_widths(given["widths"])
    found["rings"] = as_bool("rings", given["rings"])
    if given["window"] is not None:
        window = as_integer("window", given["window"], 3)
        expect(window % 2 == 1, "window", "None, or odd and at least 3", window)
        found["window"] = window
    found["whole"] = as_bool("whole", given["whole"])
    if found["whole"] and (found["window"] is None or varies(model)):
        raise ValueError(
            "whole=True is read beside a window, of a model without couplings for every bond; give "
            "window, or leave out whole"
        )
    found["seed"] = as_seed(given["seed"])
    if given["fields"] is None:
        found["fields"] = _has_field(model)
    found["fields"] = as_bool("fields", found["fields"])
    found["incremental"] = as_bool("incremental", given["incremental"])
    found["beta"] = _as_beta(given["beta"], model)
    found["focus"] = _as_focus(given["focus"])
    return found


def grown(before: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a larger network has in the place of a network's own.

    Args:
        before: settings of the network.
        wanted: ``kernel_size``, ``widths``, ``seed`` and ``whole`` of the larger one; None for the
            same, of the seed for one more.

    Raises:
        ValueError: a size is smaller, there are more or fewer layers, or ``whole`` is given up.
    """
    found = dict(wanted)
    for name, value in wanted.items():
        if value is None:
            found[name] = before[name]
    if wanted["seed"] is None:
        found["seed"] = before["seed"] + 1
    widths = _as_widths(found["widths"])
    fits = len(widths) == len(before["widths"])
    if fits:
        fits = all(new >= old for new, old in zip(widths, before["widths"], strict=True))
    least = f"{len(before['widths'])} widths of at least {tuple(before['widths'])}"
    expect(fits, "widths", least, widths)
    found["widths"] = widths
    found["kernel_size"] = as_integer("kernel_size", found["kernel_size"], before["kernel_size"])
    found["whole"] = as_bool("whole", found["whole"])
    expect(found["whole"] or not before["whole"], "whole", "True, as it is", found["whole"])
    return found


def _as_widths(widths: Any) -> list[int]:
    """Return the widths of layers, at least one."""
    several = isinstance(widths, list | tuple | np.ndarray)
    several = several and np.ndim(widths) == 1 and len(widths) > 0
    expect(several, "widths", "one width or more, such as (64, 32)", widths)
    return [as_integer("widths", width, 1) for width in widths]


def _as_beta(beta: Any, model: PairModel) -> float:
    """Return the inverse temperature at which ``u = 1``."""
    if beta is not None:
        return as_number("beta", beta, "positive and finite", lambda x: 0.0 < x < math.inf)
    if model.beta == 0.0:
        return 1.0
    return abs(model.beta)


def _as_focus(focus: Any) -> float | None:
    """Return the inverse temperature near which rates change fastest; None for the last."""
    if focus is None:
        return None
    wanted = "None, or positive and finite"
    return as_number("focus", focus, wanted, lambda x: 0.0 < x < math.inf)


def _has_field(model: PairModel) -> bool:
    """Return whether the model favours a state somewhere."""
    table = model.site_table
    return bool((table != table[:1]).any())


def alike(model: PairModel) -> tuple[int, ...]:
    """Return a label for each direction; those of one label can be exchanged."""
    kinds: list[tuple[int, bool, float]] = []
    for axis, length in enumerate(model.lattice.shape):
        coupling = 0.0
        if model.coupling.numel() == model.lattice.ndim and model.lattice.ndim > 1:
            coupling = float(model.coupling[axis].flatten()[0])
        kinds.append((length, model.lattice.periodic[axis], coupling))
    return tuple(kinds.index(kind) for kind in kinds)


def varies(model: PairModel) -> bool:
    """Return whether couplings of two states that a sign exchanges vary from bond to bond."""
    by_site = model.coupling[0].numel() > 1
    return by_site and model.q == 2 and model.symmetry == "permutation"


class Grown(Protocol):
    """What is read of a :class:`~leaps_triton.SymmetricConv`."""

    shape: tuple[int, ...]
    periodic: tuple[bool, ...]
    rings: bool
    sight: Sight
    direct: int
    skip: nn.Linear

    def orbits(self, device: torch.device) -> Orbits:
        """Return the orbits of displacements."""
        ...


def first_columns(before: Sight, after: Sight, inputs: int) -> Tensor:
    """Return the place of each input of a network in those of one with a larger kernel.

    Args:
        before: what the network reads.
        after: what the larger one reads.
        inputs: number of inputs of the network.

    Returns:
        int64 ``(inputs,)``.
    """
    ndim = len(before.periodic)
    if before.steps:
        taps = list(range(before.steps - 1))
        count = after.steps - 1
    else:
        place: dict[tuple[int, ...], int] = {}
        for number, offset in enumerate(offsets_of(after.kernel_size, ndim)):
            place[offset] = number
        taps = [place[offset] for offset in offsets_of(before.kernel_size, ndim)]
        count = len(place)
    # All other inputs come after these, in one order.
    others = range(count, count + inputs - len(taps))
    return torch.tensor([*taps, *others])


def _copy(to: nn.Linear | None, given: nn.Linear | None, columns: Tensor) -> None:
    """Put a layer's weights into the first rows of another, which read nothing else."""
    if to is None or given is None:
        return
    rows = len(given.weight)
    to.weight[:rows] = 0.0
    to.weight[:rows, columns.to(to.weight.device)] = given.weight.to(to.weight)


@torch.no_grad()
def copy_layers(to: Stack, given: Stack, first: Tensor) -> None:
    """Put the layers and the readout of a network into another that is as large or larger.

    Args:
        to: those of the other network.
        given: those of the network.
        first: the place of each input of the first layer.
    """
    columns = first
    for new, old in zip(to.layers, given.layers, strict=True):
        even = torch.arange(old.even.weight.shape[1])
        times = torch.arange(old.time.weight.shape[1])
        _copy(new.odd, old.odd, columns)
        _copy(new.average, old.average, columns)
        _copy(new.even, old.even, even)
        _copy(new.shift, old.shift, even)
        _copy(new.time, old.time, times)
        # New values come after those that there were.
        columns = torch.arange(len(old.odd.weight))
    read = len(given.readout.weight)
    to.readout.weight.zero_()
    to.readout.weight[:read] = given.readout.weight.to(to.readout.weight)


@torch.no_grad()
def move_skip(to: Grown, given: Grown) -> None:
    """Put what is added to the readout into a network, perhaps for another lattice.

    A displacement that goes half way round one lattice stands for two of a larger one, which share
    its weight; those that a smaller lattice does not tell apart are added.

    Args:
        to: the other network.
        given: the network.
    """
    cpu = torch.device("cpu")
    weights = given.skip.weight.cpu()
    made = weights[: given.direct]
    if given.rings and given.sight.steps:
        # Longer walks come after those that there were.
        longer = torch.zeros_like(to.skip.weight, device=cpu)
        longer[: len(weights)] = weights
        made = longer
    elif given.rings:
        before = given.orbits(cpu)
        after = to.orbits(cpu)
        kernel = weights[given.direct :]
        same = torch.equal(before.numbers, after.numbers)
        if not same:
            kernel = _moved_kernel(kernel, given, to)
        made = torch.cat([made, kernel])
    to.skip.weight.copy_(made)


def _displacements(shape: Sequence[int], periodic: Sequence[bool]) -> Iterator[tuple[int, ...]]:
    """Yield all displacements, those half way round with both of their signs."""
    spans: list[range] = []
    for length, wraps in zip(shape, periodic, strict=True):
        farthest = length - 1
        if wraps:
            farthest = length // 2
        spans.append(range(-farthest, farthest + 1))
    return itertools.product(*spans)


def _moved_kernel(weights: Tensor, given: Grown, to: Grown) -> Tensor:
    """Return the weights of a kernel over displacements, one row per orbit of another lattice."""
    cpu = torch.device("cpu")
    before = given.orbits(cpu)
    after = to.orbits(cpu)
    found = weights.new_zeros(len(after.sizes), weights.shape[1])
    for offset in _displacements(given.shape, given.periodic):
        here = _place(offset, before.numbers.shape, given)
        there = _place(offset, after.numbers.shape, to)
        if here is None or there is None:
            continue
        orbit = int(before.numbers[here]) - 1
        target = int(after.numbers[there]) - 1
        # The centre has no weight.
        if orbit >= 0 and target >= 0:
            found[target] += _ends(offset, given) * weights[orbit]
    # Each displacement of an orbit has an equal part of the sum.
    return found / after.sizes.to(found).unsqueeze(1)


def _ends(offset: Sequence[int], network: Grown) -> float:
    """Return the part of the weight that a displacement has beside those of other signs."""
    part = 1.0
    for step, length, wraps in zip(offset, network.shape, network.periodic, strict=True):
        # Half way round, a displacement and its negative are the same.
        if wraps and 2 * abs(step) == length:
            part = 0.5 * part
    return part


def _place(offset: Sequence[int], box: Sequence[int], network: Grown) -> tuple[int, ...] | None:
    """Return where a displacement stands in the box of a lattice; None beyond an open edge."""
    found: list[int] = []
    for step, side, length, wraps in zip(offset, box, network.shape, network.periodic, strict=True):
        if not wraps and abs(step) >= length:
            return None
        found.append(step % side)
    return tuple(found)
