"""Weighted walkers, and what they estimate."""

from dataclasses import dataclass

from torch import Tensor

from ..mcmc.base import Move
from ..mcmc.fields.acceptance import accepted_at
from ..models.base import Model
from .along import Recorded, Stage, stages
from .weighted import Weighted

__all__ = ["WeightedEnsemble"]


@dataclass(frozen=True, repr=False)
class WeightedEnsemble(Weighted):
    """Configurations and log-weights, such that weighted means are means under the model.

    Once a block has been resampled its walkers are relatives, and ``A`` holds the block's mean of
    all earlier stages: errors then come from a jackknife over blocks, and are NaN where there is
    one block only, since its walkers cannot tell how far another block would lie; ESS and
    ``Var[A]`` speak of the weights gathered since.

    Attributes:
        model: the target.
        configurations: ``(walkers, *shape)``.
        log_weights: ``A``, float64 ``(walkers,)``; ``log Z = log_z_start + log mean e^A``.
        log_z_start: ``log Z_0``.
        times: densities the walkers were weighed for on the way, ``τ_0, …, τ_{N-1}, 1``, or ``t_0,
            …, t_{N-1}, 1`` with running weights.
        ess_trace: ESS at each of them, before any resampling there, float64.
        resamplings: number of blocks that were resampled at each of them, int64.
        evaluations: all-move ``Δ`` evaluations per walker, on average, with one of the network
            each; a sweep counts as one.
        seed: of the random numbers.
        block: walkers that were computed together.
        recorded: what was measured along the path; None for nothing.
        variance_trace: ``Var[A]`` at each of ``times``, before any resampling there, float64; None
            where it was not traced.
        bias: how the weights are biased, in words; empty for exact ones.
    """

    model: Model
    configurations: Tensor
    log_weights: Tensor
    log_z_start: float
    times: Tensor
    ess_trace: Tensor
    resamplings: Tensor
    evaluations: float
    seed: int
    block: int
    recorded: Recorded | None = None
    variance_trace: Tensor | None = None
    bias: str = ""

    @property
    def by_beta(self) -> tuple[Stage, ...]:
        """Return log Z and observables at each β that the walkers were measured at on their way.

        Weights are exact at each. All come from the same walkers, so that their errors are
        correlated. It is empty unless the sampler was told to measure ``along`` the path.
        """
        return stages(self.recorded, self, self.resamplings, self.block)

    @property
    def correlated(self) -> int:
        """Return how many consecutive walkers are correlated: 1, or after a resampling a block."""
        # Resampling makes relatives of the walkers of a block, and never mixes two blocks.
        if bool(self.resamplings.any()):
            return self.block
        return 1

    def acceptance(self, move: Move | None) -> float | None:
        """Return how probably trajectories of a move are accepted at the target.

        It is measured in about a thousand trajectories that go on from these walkers, all of which
        count alike, and changes nothing of them. Beside the ``acceptance`` of the move, for which
        its step was chosen, it tells whether the move fits where the walkers have come to.

        Args:
            move: settled, such as ``sampler.mcmc``, the one that moved them.

        Returns:
            The mean probability; None without a move, and for moves that do not tell, such as
            sweeps.

        Example:
            >>> import leaps_triton as lt
            >>> path = lt.AnnealingPath(lt.PhiFour((4, 4), mass_squared=-1.0, quartic=1.0))
            >>> sampler = lt.Sampler(path, None, lt.MapStep(4), lt.HMC(), block=64, device="cpu")
            >>> found = sampler.sample(64, seed=0)
            >>> 0.5 < found.acceptance(sampler.mcmc) < 1.0
            True
        """
        # Other random numbers than those that have brought the walkers here.
        seed = (self.seed + 1) % 2**32
        return accepted_at(move, self.model, self.configurations, seed)
