"""A trained sampler for another model: another temperature, lattice, coupling or field."""

import math
from collections.abc import Sequence
from typing import Any

from ...kernels.checks import as_number, expect
from ...lattices.hypercubic import Lattice
from ...models.pair import is_pair_model
from ...paths.annealing import AnnealingPath
from ...paths.starts import Uniform
from ...samplers.sampler import Sampler
from .transfer import transfer

__all__ = ["model_like", "sampler_for"]


def model_like(
    model: Any, beta: float | None = None, shape: Sequence[int] | int | None = None
) -> Any:
    """Return a model that has all else of the given one.

    Args:
        model: the model.
        beta: its inverse temperature; None for the same.
        shape: lengths of its lattice, as many as it has directions; None for the same.

    Raises:
        ValueError: β is no finite number; the shape is none, or of other directions; a model with a
            coupling or field per bond or site, on a graph, or not of pairs, has no other shape.

    Example:
        >>> import leaps_triton as lt
        >>> lt.training.model_like(lt.Ising((8, 8), beta=0.44), shape=(12, 12))
        Ising(shape=(12, 12), q=2, beta=0.44, periodic=(True, True))
    """
    if beta is None:
        beta = model.beta
    beta = as_number("beta", beta, "a finite number", math.isfinite)
    if isinstance(shape, int):
        shape = (shape,)
    expect(shape is None or not isinstance(shape, str), "shape", "lengths such as (12, 12)", shape)
    own = tuple(model.shape)
    if shape is None or tuple(shape) == own:
        return model.at(beta)
    if not is_pair_model(model) or not isinstance(model.lattice, Lattice):
        raise ValueError(
            f"shape can be another for models of pairs on a lattice alone, and this one is {model}"
        )
    wanted = f"{len(own)} lengths, as many as those of shape {own}"
    expect(len(shape) == len(own), "shape", wanted, tuple(shape))
    if model.coupling.numel() > 1 or model.site_table.numel() > model.q:
        raise ValueError(
            f"the couplings or fields of this model are those of shape {own}; got {tuple(shape)}"
        )
    return type(model).from_tables(
        shape,
        beta,
        model.bond_table,
        model.site_table.flatten(),
        model.coupling.item(),
        model.lattice.periodic,
        model.spins,
    )


def sampler_for(
    sampler: Sampler,
    model: Any,
    refresh: str = "swendsen_wang",
    walkers: int = 1024,
    times: int = 32,
    seed: int = 0,
    progress: bool = False,
) -> Sampler:
    """Return a trained sampler for another model, with the same network and settings.

    Its weights are exact; how many walkers they leave, the ESS tells. At another β, coupling or
    field on the same lattice the transport is shared. For another lattice
    :func:`~leaps_triton.training.transfer` moves it, and the linear response that it may stand on
    is fitted anew, over all β that it knows, to samples of that lattice: seconds to minutes.

    Args:
        sampler: the trained sampler, on an annealing path from the uniform start.
        model: the other model, such as one of :func:`~leaps_triton.training.model_like`.
        refresh: how samples for a response are made, see
            :func:`~leaps_triton.training.equilibrate`.
        walkers: of these samples, at each time.
        times: at which they are made.
        seed: of these samples.
        progress: show how far they are.

    Returns:
        A sampler with the integrator, move and resampling of the given one; its blocks are those
        of the given one on the same lattice, else what follows from the lattice.

    Raises:
        ValueError: there is no transport, the path is another, or the network is not for the model.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((4, 4), beta=0.4)
        >>> network = lt.SymmetricConv(model, kernel_size=3, widths=(8, 4))
        >>> trained = lt.Sampler(lt.AnnealingPath(model), network, lt.Jump(10), device="cpu")
        >>> warmer = lt.training.sampler_for(trained, model.at(0.3))
        >>> warmer.path.model.beta
        0.3
    """
    expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    given: Any = sampler.path
    uniform = isinstance(given, AnnealingPath) and isinstance(given.start, Uniform)
    network: Any = sampler.transport
    if not uniform or network is None:
        raise ValueError(
            "sampler must have a network and an AnnealingPath from the uniform start; make another "
            "by lt.Sampler(path, transport)"
        )
    path = AnnealingPath(model, schedule=given.schedule)
    move: Any = None
    if sampler.move is not None:
        # Spins that are swept as bits of a word on one lattice may be bytes on another.
        move = sampler.move.left_open()
    block: int | None = sampler.block
    if path.model.shape != given.model.shape:
        # The gate of a response is a share of all β that the network knows.
        largest = AnnealingPath(path.model.at(given.model.beta))
        network = transfer(network, largest, refresh, walkers, times, seed, progress)
        block = None
    return Sampler(
        path,
        network,
        integrator=sampler.integrator,
        mcmc=move,
        resample_below=sampler.resample_below,
        block=block,
        device=sampler.device,
        resampling=sampler.resampling,
    )
