"""What is measured: every op on models of the library, with the inputs of its family's cases."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ..kernels.checks import nearest
from ..kernels.inputs.case import Case, Model, Size
from ..kernels.inputs.families import OF_MODELS, WITHOUT_MODEL
from ..models import EdwardsAnderson, Ising, PairModel, Potts

__all__ = ["BLOCKED", "MODELS", "OPS", "ROUNDED", "Chosen", "cases", "make_case", "model_of"]

OPS = tuple(op for family in (*WITHOUT_MODEL, *OF_MODELS) for op in family.OPS)
"""Names of the ops, as in :mod:`leaps_triton.kernels` and of their gradients."""

MODELS: dict[str, Callable[[Sequence[int]], PairModel]] = {
    "ising": lambda shape: Ising(shape, beta=0.4407),
    "potts3": lambda shape: Potts(shape, q=3, beta=1.005),
    "pm1": lambda shape: EdwardsAnderson(shape, beta=1.0, disorder="pm1", seed=0),
}
"""Models that the ops are measured on: no tables, three states, a coupling per bond."""

BLOCKED = ("hollow_conv", "hollow_conv_gradient")
"""Ops that run something else than the twin even without kernels."""

ROUNDED = (*BLOCKED, "quartic_trajectories", "parity_map")
"""Ops whose sums a CPU takes in another order than the twin."""


class Chosen(NamedTuple):
    """One case of a run, before its inputs are drawn."""

    op: str
    model: str
    shape: tuple[int, ...]
    walkers: int


def model_of(name: str, size: Size) -> Model:
    """Return a model of :data:`MODELS` as the ops take it, on the device."""
    model = MODELS[name](size.shape)
    return Model(
        name=name,
        coupling=model.coupling.unsqueeze(0).to(size.device),
        bond_table=model.bond_table.to(size.device),
        site_table=model.site_table.unsqueeze(0).to(size.device),
        beta=torch.full((1,), model.beta, dtype=torch.float64, device=size.device),
        periodic=model.lattice.periodic,
        colours=model.lattice.colours().to(size.device),
        num_colours=model.lattice.num_colours,
    )


def make_case(
    op: str, model: str, shape: Sequence[int], walkers: int, seed: int, device: torch.device
) -> Case:
    """Return inputs of an op, drawn by ``seed``.

    Args:
        op: One of :data:`OPS`.
        model: One of :data:`MODELS`; ignored by ops without one, such as ``philox``, which makes
            one word per site, and ``local_jump_steps``, whose rates are a table.
        shape: Shape of the lattice.
        walkers: Number of walkers.
        seed: Seed of the inputs.
        device: Where they lie.

    Raises:
        ValueError: If there is no such op.

    Example:
        >>> from leaps_triton import kernels
        >>> cpu = torch.device("cpu")
        >>> case = make_case("local_energy", "ising", (4, 4), walkers=3, seed=0, device=cpu)
        >>> energy, log_ratios = case.run(kernels.local_energy)
        >>> log_ratios.shape
        torch.Size([3, 1, 4, 4])
        >>> 3 * 16 * (1 + 4) < case.bytes_moved((energy, log_ratios))
        True
    """
    size = Size(tuple(shape), walkers, seed, device)
    for family in WITHOUT_MODEL:
        if op in family.OPS:
            case: Case = family.measured(op, size)
            return case
    for family in OF_MODELS:
        if op in family.OPS:
            case = family.measured(op, size, model_of(model, size))
            return case
    raise ValueError(f"there is no op {op!r}; choose from {', '.join(OPS)}")


def models_of(op: str) -> tuple[str, ...]:
    """Return the models that an op is measured on; one empty name where it knows none."""
    if any(op in family.OPS for family in WITHOUT_MODEL):
        return ("",)
    # Two states have no reflections.
    if op.endswith("overrelaxation_sweeps"):
        return ("potts3",)
    return tuple(MODELS)


def _sizes(device: torch.device, smoke: bool) -> list[tuple[tuple[int, ...], int]]:
    if smoke:
        return [((16, 16), 64)]
    if device.type != "cuda":
        return [((16, 16), 1024), ((64, 64), 64)]
    # As many walkers as leave room for the twins.
    memory = torch.cuda.get_device_properties(device).total_memory
    # Halved until some 240 bytes per site, which the largest twin takes, fit the memory.
    largest = 65536
    while largest > 1024 and 240 * 64 * 64 * largest > memory:
        largest //= 2
    return [((16, 16), 4096), ((16, 16), 16 * largest), ((64, 64), 1024), ((64, 64), largest)]


def cases(ops: Sequence[str], device: torch.device, smoke: bool = False) -> list[Chosen]:
    """Return all cases of these ops.

    Raises:
        ValueError: If there is no such op.

    Example:
        >>> cases(["philox"], torch.device("cpu"), smoke=True)
        [Chosen(op='philox', model='', shape=(16, 16), walkers=64)]
    """
    unknown = [op for op in ops if op not in OPS]
    if unknown:
        near = nearest(unknown[0], OPS)
        raise ValueError(f"there is no op {unknown[0]!r}; choose from {', '.join(OPS)}{near}")
    sizes = _sizes(device, smoke)
    convolutions: list[tuple[tuple[int, ...], int]] = [((15, 15), 50)]
    if smoke:
        convolutions = [((5, 5), 8)]
    chosen = []
    for op in ops:
        own = sizes
        if op in BLOCKED:
            own = convolutions
        for shape, walkers in own:
            chosen += [Chosen(op, model, shape, walkers) for model in models_of(op)]
    return chosen
