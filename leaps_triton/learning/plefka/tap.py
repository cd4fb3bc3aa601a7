"""Mean-field approximations of log Z, and the means where they are stationary."""

from typing import overload

import torch
from torch import Tensor

from ...kernels import Stream, philox, uniform64
from ...kernels.checks import as_integer, as_number, as_seed, expect, is_positive
from ...models.machines import RBM
from ...models.pair import PairModel, is_pair_model
from .base import Equations
from .machines import MachineEquations
from .results import MachineTapResult, TapResult
from .spins import SpinEquations

__all__ = ["tap"]


@overload
def tap(
    model: RBM,
    order: int = ...,
    starts: int | Tensor = ...,
    iterations: int = ...,
    tolerance: float = ...,
    damping: float = ...,
    seed: int = ...,
) -> MachineTapResult: ...


@overload
def tap(
    model: PairModel,
    order: int = ...,
    starts: int | Tensor = ...,
    iterations: int = ...,
    tolerance: float = ...,
    damping: float = ...,
    seed: int = ...,
) -> TapResult: ...


@torch.no_grad()
def tap(
    model: PairModel,
    order: int = 2,
    starts: int | Tensor = 1,
    iterations: int = 2000,
    tolerance: float = 1e-10,
    damping: float = 0.5,
    seed: int = 0,
) -> TapResult:
    """Return the mean-field approximation of ``log Z``, with the means where it is stationary.

    It is good while couplings are small: the error is of the second, third and fourth power of the
    couplings at orders 1, 2 and 3. On learned weights it is often off by more than 1, and its
    equations may not converge: see ``converged``. A log-likelihood is to be told by
    :func:`leaps_triton.exact.log_z` or by annealed importance sampling.

    Args:
        model: an :class:`~leaps_triton.RBM`, or any other pair model of two states per site, such
            as :class:`~leaps_triton.Ising`, on a lattice or graph.
        order: 1 (naive mean field), 2 (Thouless–Anderson–Palmer) or 3, which has the triangles of
            the couplings.
        starts: number of starts, the first with all means in the middle, 0 of spins and 1/2 of a
            machine's units, and the others random; or the means to start from, ``(starts, *shape)``
            from -1 to 1, of a machine from 0 to 1 and ``(starts, visible + hidden)``, or
            ``(starts, visible)``, such as rows of data. Without fields the first is a solution.
        iterations: iterations at most.
        tolerance: residual below which a start has converged.
        damping: share of the old means in the new ones, from 0 to below 1.
        seed: of random starts, in [0, 2³²).

    Returns:
        The best solution; of a machine with the means of both layers and the gradient.

    Raises:
        ValueError: the model is not as above, order 3 has too many triangles, or an argument is
            not as above.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((4, 4), beta=0.1, field=0.5)
        >>> found = tap(model, order=3)
        >>> found.converged, abs(found.log_z - lt.exact.log_z(model)) < 0.01
        (True, True)
    """
    order = as_integer("order", order, 1, 3)
    iterations = as_integer("iterations", iterations, 1)
    tolerance = as_number("tolerance", tolerance, "a positive number", is_positive)
    damping = as_number("damping", damping, "a number from 0 to below 1", _is_share)
    equations = _equations_of(model, order)
    means = _begin(equations, starts, as_seed(seed))
    residual = equations.residual(means)
    made = 0
    # A start that has converged stays where it is to rounding while others go on.
    while made < iterations and bool((residual > tolerance).any()):
        means = equations.iterated(means, damping)
        residual = equations.residual(means)
        made += 1
    log_z = equations.log_z(means)
    converged = residual <= tolerance
    # Solutions come first, whatever the others promise.
    ranked = log_z
    if bool(converged.any()):
        ranked = log_z.masked_fill(~converged, -torch.inf)
    best = int(ranked.argmax())
    shape = tuple(model.shape)
    return equations.result(
        log_z=float(log_z[best]),
        means=means[best].view(shape),
        converged=bool(converged[best]),
        residual=float(residual[best]),
        order=order,
        log_z_of_starts=log_z,
        residual_of_starts=residual,
        means_of_starts=means.view(-1, *shape),
        iterations=made,
        **equations.beside(means[best : best + 1]),
    )


def _is_share(value: float) -> bool:
    return 0.0 <= value < 1.0


def _equations_of(model: PairModel, order: int) -> Equations:
    """Return the equations of a model.

    Raises:
        ValueError: there are none.
    """
    if isinstance(model, RBM):
        return MachineEquations(model, order)
    wanted = "an RBM or another pair model of two states per site, such as Ising"
    expect(is_pair_model(model) and model.q == 2, "model", wanted, model)
    return SpinEquations(model, order)


def _begin(equations: Equations, starts: int | Tensor, seed: int) -> Tensor:
    """Return the means that iterations begin with, float64 ``(starts, sites)``.

    Raises:
        ValueError: the starts are neither a number nor means of the model's sites.
    """
    lowest = equations.lowest
    if isinstance(starts, Tensor):
        means = starts.double()
        known = len(means.shape) > 0 and len(means) > 0 and means.shape[1:] in equations.shapes
        known = known and bool(((means >= lowest) & (means <= 1.0)).all())
        shapes = [", ".join(["(starts", *map(str, shape)]) + ")" for shape in equations.shapes]
        wanted = f"a number, or means from {lowest:g} to 1 of shape {' or '.join(shapes)}"
        expect(known, "starts", wanted, starts)
        return equations.completed(means)
    count = as_integer("starts", starts, 1)
    sites = equations.sites
    start = torch.arange(count).unsqueeze(1)
    words = philox(seed, Stream.START, torch.arange(sites), 0, 0, start)
    means = lowest + (1.0 - lowest) * uniform64(words[0], words[1])
    # The first is the same for every seed.
    means[0] = (1.0 + lowest) / 2.0
    return means
