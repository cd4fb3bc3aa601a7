"""Hybrid Monte Carlo and Langevin steps, with masses by mode."""

from collections.abc import Sequence
from typing import Any

from ...registry import register
from .base import FieldMove

__all__ = ["HMC", "Langevin"]


@register("move")
class HMC(FieldMove):
    """Follows the equations of motion from random momenta by leapfrogs; accepts the end, or stays.

    With ``H = S + ½ Σ_k |p_k|² / M_k`` a trajectory is accepted with probability
    ``min(1, e^{-ΔH})``, where ``ΔH`` is summed in float64. It leaves every ``ρ_t`` of a path
    invariant, whatever step and masses are.

    With ``fourier`` each mode has the mass ``M_k = 1 / (2 ⟨|φ_k|²⟩)``, which for a free field is
    ``k̂² + m²``: all modes then move at one pace, so that long waves do not slow down. Where step or
    masses are not given, a chain or a sampler finds both before it begins, in a burn-in at the
    target with a fixed seed. Results and files tell what was found, and a run that goes on keeps
    it.

    Args:
        leapfrogs: leapfrogs of a trajectory, at least 1.
        step: length of a leapfrog; None for the one at which trajectories are accepted as often as
            ``acceptance`` says, though none longer than a quarter of the period of a mode.
        fourier: masses by mode, for fields on periodic lattices; False for masses of 1, with any
            target that has a force. None for what the lattice allows: densities such as
            :class:`~leaps_triton.GaussianMixture` stand on open ones, and have masses of 1.
        sweeps: trajectories per step of the chain, at least 1.
        acceptance: mean probability to accept a trajectory that the step is chosen for: a target,
            none that was measured, which is ``acceptance`` of a chain.
        masses: ``M_k``, one for each set of modes that reflections and exchanges of equal axes make
            alike; None to find them.

    Raises:
        ValueError: an argument is not as above; at a step, a target without a force, or a move that
            was not settled.

    References:
        Duane, Kennedy, Pendleton, Roweth, *Hybrid Monte Carlo*, Phys. Lett. B 195, 216 (1987).
        Batrouni and others, *Langevin simulations of lattice field theories*, Phys. Rev. D 32, 2736
        (1985), for masses by mode.

    Example:
        >>> import torch, leaps_triton as lt
        >>> model = lt.PhiFour((6, 6), mass_squared=-4.0, quartic=6.975)
        >>> path, move, walkers = lt.AnnealingPath(model), lt.HMC().settled(model), torch.arange(3)
        >>> state = move.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = move.step(state, path, t=1.0, seed=0)
        >>> state.sweep, info.acceptance.shape
        (1, torch.Size([3]))
    """

    def __init__(
        self,
        leapfrogs: int = 3,
        step: float | None = None,
        fourier: bool | None = None,
        sweeps: int = 1,
        acceptance: float = 0.8,
        masses: Sequence[float] | None = None,
    ) -> None:
        super().__init__(leapfrogs, step, fourier, sweeps, acceptance, masses)

    @property
    def settings(self) -> dict[str, Any]:
        """Return what makes the move again, as files keep it."""
        return {"leapfrogs": self.leapfrogs, **super().settings}


@register("move")
class Langevin(FieldMove):
    """Makes a Langevin step of finite length, accepted or not: :class:`HMC` of one leapfrog.

    ``φ' = φ - ½ ε² M⁻¹ ∂S/∂φ + ε M^{-½} ξ`` with independent normal ``ξ`` and ``ε`` the step,
    accepted with the probability that leaves every ``ρ_t`` of a path invariant (Metropolis-adjusted
    Langevin algorithm, MALA).

    Args:
        step: ``ε``; None for the one at which steps are accepted as often as ``acceptance`` says.
        fourier: masses by mode, the same as in :class:`HMC`.
        sweeps: Langevin steps per step of the chain, at least 1.
        acceptance: mean probability to accept that the step is chosen for, a target; 0.57 is where
            walkers diffuse fastest in many dimensions.
        masses: the same as in :class:`HMC`.

    Raises:
        ValueError: the same as for :class:`HMC`.

    References:
        Roberts, Rosenthal, *Optimal scaling of discrete approximations to Langevin diffusions*,
        J. R. Stat. Soc. B 60, 255 (1998).

    Example:
        >>> import torch, leaps_triton as lt
        >>> model = lt.PhiFour((6, 6), mass_squared=-4.0, quartic=6.975)
        >>> chain = lt.run_chain(model, lt.Langevin(), walkers=4, sweeps=20, seed=0, device="cpu")
        >>> chain.move.acceptance
        0.57
    """

    def __init__(
        self,
        step: float | None = None,
        fourier: bool | None = None,
        sweeps: int = 1,
        acceptance: float = 0.57,
        masses: Sequence[float] | None = None,
    ) -> None:
        super().__init__(1, step, fourier, sweeps, acceptance, masses)
