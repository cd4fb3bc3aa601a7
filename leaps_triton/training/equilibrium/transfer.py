"""A network made ready for a model: it stands on a linear response that was fitted first."""

from typing import Any, Protocol, TypeVar

import torch

from ...integrators.transport import kind_of
from ...kernels.checks import as_integer, expect
from ...networks.linear_response.network import LinearResponse
from ...networks.linear_response.standing import Standing
from ...paths.annealing import AnnealingPath
from .linear_response import check_path, linear_response
from .samples import equilibrate

__all__ = ["fit_response", "transfer"]


class Movable(Protocol):
    """What a network offers that can be moved to another lattice."""

    response: Any
    gate: Any

    def for_model(self, model: Any, **changes: Any) -> Any:
        """Return a network with the same parameters for another lattice."""
        ...


Moved = TypeVar("Moved", bound=Movable)


def fit_response(
    path: AnnealingPath,
    refresh: str = "swendsen_wang",
    walkers: int = 1024,
    times: int = 32,
    seed: int = 0,
    progress: bool = False,
    device: torch.device | str | None = None,
) -> LinearResponse:
    """Return the linear response of a model of spins, fitted to equilibrium samples that it makes.

    Args:
        path: the annealing path.
        refresh: how samples are made, see :func:`~leaps_triton.training.equilibrate`.
        walkers: samples at each time.
        times: equally spaced over ``(0, 1]``, the last at 1.
        seed: of the samples, in [0, 2³²).
        progress: show a progress bar on a terminal, elsewhere a line every half minute.
        device: None for CUDA where there is a CUDA device, else the CPU.

    Raises:
        ValueError: a bad argument, a model of real fields, or one without such samples.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
        >>> response = lt.training.fit_response(path, "exact", walkers=400, times=3)
        >>> network = lt.SymmetricConv(path.model, kernel_size=3, widths=(8, 4))
        >>> network.stand_on(response).clock
        'beta'
    """
    # Before the samples, which take long.
    check_path(path)
    times = as_integer("times", times, 1)
    t = torch.arange(1, times + 1, dtype=torch.float64) / times
    samples = equilibrate(path, t, walkers, refresh, seed, progress, device=device)
    return linear_response(path, samples)


def transfer(
    network: Moved,
    path: AnnealingPath,
    refresh: str = "swendsen_wang",
    walkers: int = 1024,
    times: int = 32,
    seed: int = 0,
    progress: bool = False,
    **changes: Any,
) -> Moved:
    """Return a trained network for another model, such as a larger lattice.

    It has the same parameters. If the network stands on a linear response, this one stands on one
    that is fitted to the new model, with the same gate; drifts stand on none. Train it on from
    there: what it has learned of neighbourhoods holds at every size. Give the networks of a chain
    of sizes a ``window``, so that means over the lattice keep their meaning.

    Args:
        network: a :class:`~leaps_triton.SymmetricConv`, a drift such as
            :class:`~leaps_triton.HollowDrift`, or another with ``for_model``.
        path: the annealing path of the new model.
        refresh: how samples for the response are made.
        walkers: of these samples, at each time.
        times: at which they are made.
        seed: of these samples.
        progress: show how far they are.
        changes: settings of the network that change, such as ``window=7``.

    Raises:
        ValueError: a network that cannot be moved, or not to this model.

    Example:
        >>> import leaps_triton as lt
        >>> small = lt.Ising((4, 4), beta=0.3)
        >>> network = lt.SymmetricConv(small, kernel_size=3, widths=(8, 4), window=3)
        >>> path = lt.AnnealingPath(lt.Ising((6, 6), beta=0.3))
        >>> lt.training.transfer(network, path).shape
        (6, 6)
    """
    given: Any = network
    drift = kind_of(given) == "drift"
    movable = drift or isinstance(given, Standing)
    if not movable or not callable(getattr(given, "for_model", None)):
        # By its name alone: a module prints all of its layers.
        raise ValueError(
            f"network must be one with for_model, such as a SymmetricConv or a HollowDrift, got "
            f"{type(given).__name__}"
        )
    expect(isinstance(path, AnnealingPath), "path", "an AnnealingPath", path)
    moved: Moved = network.for_model(path.model, **changes)
    # Drifts stand on no response.
    if drift:
        return moved
    if network.response is not None:
        device = network.response.betas.device
        response = fit_response(path, refresh, walkers, times, seed, progress, device)
        moved.stand_on(response, network.gate)  # type: ignore[attr-defined]
    return moved
