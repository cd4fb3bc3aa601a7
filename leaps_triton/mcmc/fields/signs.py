"""Clusters of sites of one sign, in the Ising model of the signs that a field embeds."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ... import kernels
from ...kernels.checks import as_integer
from ...paths.annealing import AnnealingPath
from ...registry import register
from ..base import BaseMove, SweepState
from ..clusters import ClusterInfo
from ..sweeps import numbers_on

__all__ = ["SignCluster"]


@register("move")
@dataclass(frozen=True)
class SignCluster(BaseMove):
    """Gives the clusters of sites of one sign new signs, magnitudes staying (Swendsen–Wang).

    At given magnitudes the signs of a φ⁴ field are an Ising model with the couplings
    ``2 |φ_x φ_{x+μ}|``; neighbours of one sign are joined with probability
    ``1 - e^{-4 |φ_x φ_{x+μ}|}``, and each cluster takes either sign. Nothing is rejected. It is for
    the double well, which trajectories seldom cross; alone it is not ergodic: take
    ``Compose(HMC(), SignCluster())``.

    Args:
        sweeps: updates of all clusters per step, at least 1.

    Raises:
        ValueError: fewer than one sweep; at a step, a path that is none of φ⁴ models.

    References:
        Brower, Tamayo, *Embedded dynamics for φ⁴ theory*, Phys. Rev. Lett. 62, 1087 (1989).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.PhiFour((6, 6), mass_squared=-4.0, quartic=6.975))
        >>> move, walkers = lt.SignCluster(), torch.arange(3)
        >>> x = path.start.sample(walkers, seed=0)
        >>> state, info = move.step(move.init(x, walkers), path, t=1.0, seed=0)
        >>> torch.equal(state.configurations.abs(), x.abs())
        True
    """

    sweeps: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweeps", as_integer("sweeps", self.sweeps, 1))

    @property
    def rowwise(self) -> bool:
        """Return True: walkers share no number."""
        return True

    @property
    def confined(self) -> str:
        """Return why it is not ergodic."""
        return "SignCluster changes signs and no magnitudes; take Compose(HMC(), SignCluster())"

    def check_model(self, model: Any) -> None:
        """Raise a ValueError if the configurations of a model are no real fields.

        Args:
            model: the target, completed.
        """
        if not model.dtype.is_floating_point:
            raise ValueError(
                f"SignCluster moves real fields, and configurations of {model!r} are "
                f"{model.dtype}; take SwendsenWang"
            )

    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, ClusterInfo]:
        """Return the walkers after ``sweeps`` updates, and how large the clusters were.

        Args:
            state: walkers of the chain.
            path: the annealing path.
            t: time on the path, on which nothing depends: all have the same bonds.
            seed: in [0, 2³²).

        Raises:
            ValueError: the path is none of φ⁴ models.
        """
        if not path.has_couplings:
            raise ValueError(
                f"SignCluster joins neighbours by the bonds of PhiFour on a path from a FreeField, "
                f"got a path to {path.model!r}; take HMC"
            )
        field = state.configurations
        device = field.device
        # Each bond stands at the site before it.
        magnitude = field.double().abs()
        bonds = [magnitude * magnitude.roll(-1, axis) for axis in range(1, field.ndim)]
        ones = (1,) * (field.ndim - 1)
        up = (field > 0).to(torch.int8)
        made = kernels.swendsen_wang_sweeps(
            up,
            2.0 * torch.stack(bonds, dim=1),
            numbers_on((1.0, -1.0, -1.0, 1.0), device).view(2, 2),
            numbers_on((0.0, 0.0), device).view(1, 2, *ones),
            numbers_on((1.0,), device),
            (True,) * (field.ndim - 1),
            False,
            state.walkers,
            state.sweep,
            self.sweeps,
            seed,
        )
        turned = torch.where(made.configurations == up, field, -field)
        after = SweepState(turned, state.walkers, state.sweep + self.sweeps)
        return after, ClusterInfo(made.changed, made.size)
