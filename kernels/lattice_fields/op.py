"""The ops ``lattice_action``, ``site_potential`` and ``action_and_force``."""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import check_fields
from ..registration import Launchers, call, on_cpu, put_on_cuda
from . import reference
from .reference import ActionForce, per_site

__all__ = [
    "action_and_force",
    "action_and_force_op",
    "lattice_action",
    "lattice_action_op",
    "site_potential",
    "site_potential_op",
]


def lattice_action(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> Tensor:
    """Return the action of real fields on a periodic lattice.

    ``S(φ) = Σ_x [-2 Σ_μ φ_x φ_{x+μ} + (2d + m²) φ_x² + λ φ_x⁴]``, each bond once, in float64.
    Autograd follows the configurations, not the couplings.

    Args:
        configurations: Float32 or float64 ``(walkers, *shape)``, one to four lattice axes.
        mass_squared: ``m²``, float64 ``(1 | walkers,)``.
        quartic: ``λ``, float64 ``(1 | walkers,)``.

    Returns:
        Float64 ``(walkers,)``.

    Raises:
        ValueError: If shapes, types or devices do not fit.

    Example:
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> lattice_action(torch.ones(1, 4, 4), 0.5 * one, 0.25 * one)
        tensor([12.], dtype=torch.float64)
    """
    check_fields(configurations, mass_squared=mass_squared, quartic=quartic)
    return call(lattice_action_op, configurations, mass_squared, quartic)


def site_potential(configurations: Tensor, quadratic: Tensor, quartic: Tensor) -> Tensor:
    """Return ``Σ_x (a φ_x² + λ φ_x⁴)``, what two actions differ by, in float64.

    Autograd follows the configurations, not the couplings.

    Args:
        configurations: Float32 or float64 ``(walkers, *shape)``, one to four lattice axes.
        quadratic: ``a``, float64 ``(1 | walkers,)``.
        quartic: ``λ``, float64 ``(1 | walkers,)``.

    Returns:
        Float64 ``(walkers,)``.

    Raises:
        ValueError: If shapes, types or devices do not fit.

    Example:
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> site_potential(torch.ones(1, 4, 4), 0.5 * one, 0.25 * one)
        tensor([12.], dtype=torch.float64)
    """
    check_fields(configurations, quadratic=quadratic, quartic=quartic)
    return call(site_potential_op, configurations, quadratic, quartic)


def action_and_force(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> ActionForce:
    """Return the action of :func:`lattice_action` and the force ``-∂S/∂φ``, in one pass.

    Autograd follows the configurations, through the force too, not the couplings.

    Args:
        configurations: Float32 or float64 ``(walkers, *shape)``, one to four lattice axes.
        mass_squared: ``m²``, float64 ``(1 | walkers,)``.
        quartic: ``λ``, float64 ``(1 | walkers,)``.

    Returns:
        ``action``, float64 ``(walkers,)``, and ``force``, ``(walkers, *shape)``, in the type
        of the configurations, computed in float64.

    Raises:
        ValueError: If shapes, types or devices do not fit.

    Example:
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> action_and_force(torch.ones(1, 4, 4), 0.5 * one, 0.25 * one).force[0, 0]
        tensor([-2., -2., -2., -2.])
    """
    check_fields(configurations, mass_squared=mass_squared, quartic=quartic)
    return ActionForce(*call(action_and_force_op, configurations, mass_squared, quartic))


_action = on_cpu(reference.lattice_action, __package__)
_potential = on_cpu(reference.site_potential, __package__)
_both = on_cpu(reference.action_and_force, __package__)


@custom_op("leaps_triton::lattice_action", mutates_args=())
def lattice_action_op(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> Tensor:
    """See :func:`leaps_triton.kernels.lattice_action`."""
    found: Tensor = _action(configurations, mass_squared, quartic)
    return found


@custom_op("leaps_triton::site_potential", mutates_args=())
def site_potential_op(configurations: Tensor, quadratic: Tensor, quartic: Tensor) -> Tensor:
    """See :func:`leaps_triton.kernels.site_potential`."""
    found: Tensor = _potential(configurations, quadratic, quartic)
    return found


@custom_op("leaps_triton::action_and_force", mutates_args=())
def action_and_force_op(
    configurations: Tensor, mass_squared: Tensor, quartic: Tensor
) -> tuple[Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.action_and_force`."""
    action, force = _both(configurations, mass_squared, quartic)
    return action, force


@lattice_action_op.register_fake
def _(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> Tensor:
    return configurations.new_empty(len(configurations), dtype=torch.float64)


@site_potential_op.register_fake
def _(configurations: Tensor, quadratic: Tensor, quartic: Tensor) -> Tensor:
    return configurations.new_empty(len(configurations), dtype=torch.float64)


@action_and_force_op.register_fake
def _(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> tuple[Tensor, Tensor]:
    action = configurations.new_empty(len(configurations), dtype=torch.float64)
    return action, configurations.new_empty(configurations.shape)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _of_action(ctx: Any, to_action: Tensor) -> tuple[Tensor | None, ...]:
    force = action_and_force_op(*ctx.saved_tensors)[1]
    return -_times(to_action, force), None, None


def _of_potential(ctx: Any, to_potential: Tensor) -> tuple[Tensor | None, ...]:
    field, quadratic, quartic = ctx.saved_tensors
    ndim = field.ndim - 1
    linear = per_site(2.0 * quadratic, ndim).to(field.dtype)
    cubic = per_site(4.0 * quartic, ndim).to(field.dtype)
    slope = field * (linear + cubic * field * field)
    return _times(to_potential, slope), None, None


def _of_both(
    ctx: Any, to_action: Tensor | None, to_force: Tensor | None
) -> tuple[Tensor | None, ...]:
    gradient = None
    if to_action is not None:
        gradient = _of_action(ctx, to_action)[0]
    if to_force is not None:
        field, mass_squared, quartic = ctx.saved_tensors
        through_force = reference.force_gradient(field, mass_squared, quartic, to_force)
        if gradient is None:
            gradient = through_force
        else:
            gradient = gradient + through_force
    return gradient, None, None


def _times(number: Tensor, field: Tensor) -> Tensor:
    """Return each walker's number times its field, in the field's type."""
    return per_site(number, field.ndim - 1).to(field.dtype) * field


lattice_action_op.register_autograd(_of_action, setup_context=_save)
site_potential_op.register_autograd(_of_potential, setup_context=_save)
action_and_force_op.register_autograd(_of_both, setup_context=_save)


def _launchers() -> Launchers:
    from . import triton

    return [
        (lattice_action_op, triton.lattice_action),
        (site_potential_op, triton.site_potential),
        (action_and_force_op, triton.action_and_force),
    ]


put_on_cuda(_launchers)
