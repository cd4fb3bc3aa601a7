"""A batch that is computed in parts, of which each process has its share."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .ranks import Ranks

__all__ = ["combined", "gathered"]


def gathered(make: Callable[[int], Tensor], parts: int, ranks: Ranks) -> Tensor:
    """Return what is made of all parts, one after another along the first axis, on all processes.

    It is the same to the last bit for any number of processes, as each part is.

    Args:
        make: returns a tensor ``(rows, …)`` of a part, of the same shape for all.
        parts: their number, a multiple of that of processes.
        ranks: the processes.
    """
    mine = torch.stack([make(part) for part in ranks.share(parts)])
    if ranks.world == 1:
        return mine.flatten(0, 1)
    return ranks.everywhere(mine).flatten(0, 2)


def combined(
    loss_of: Callable[[int], Tensor], parameters: Sequence[Tensor], parts: int, ranks: Ranks
) -> Tensor:
    """Give parameters the gradient of the mean loss of all parts, and return that mean.

    Contributions of parts are summed in their order, in float64, so that the result is the same to
    the last bit for any number of processes.

    Args:
        loss_of: returns the loss of a part.
        parameters: what it is differentiated by, without gradients so far.
        parts: their number, a multiple of that of processes; 1 for the gradient as torch has it.
        ranks: the processes.

    Example:
        >>> from leaps_triton.parallel import ALONE
        >>> x = torch.nn.Parameter(torch.ones(1))
        >>> float(combined(lambda part: (part + 1) * x.sum(), [x], 2, ALONE)), x.grad
        (1.5, tensor([1.5000]))
    """
    if parts == 1:
        loss = loss_of(0)
        loss.backward()
        return loss.detach()

    def contribution(part: int) -> Tensor:
        loss = loss_of(part)
        # Zero where a part does not depend on a parameter.
        found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        numbers = [loss.detach().reshape(1), *(each.flatten() for each in found)]
        return torch.cat([each.double() for each in numbers]).unsqueeze(0)

    rows = gathered(contribution, parts, ranks)
    total = rows[0].clone()
    # One after another: a sum over an axis may have another order on another device.
    for row in rows[1:]:
        total += row
    mean = total / parts
    first = 1
    for parameter in parameters:
        last = first + parameter.numel()
        parameter.grad = mean[first:last].view_as(parameter).to(parameter.dtype)
        first = last
    return mean[0]
