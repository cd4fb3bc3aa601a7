"""Estimates with error bars: from weighted samples, from Markov chains, and at another β.

- Weighted or independent walkers: :func:`weighted_estimate`, a jackknife; of an ensemble also
  :func:`free_energy` and :func:`entropy`.
- Markov chains: :func:`chain_estimate`, the Γ-method.
- Another β than the simulated ones: :func:`reweight`, :func:`multi_reweight` and :func:`mbar`.
- Replicas of parallel tempering: :func:`stepping_stones` for log Z, :func:`exchange_rates`;
  :func:`mbar` too.
- Pairs of walkers: :func:`overlap_distribution`.
- Distances between samples: :func:`sliced_wasserstein`, and :func:`wasserstein` of few.
- Trust: :func:`find_beginning` for where chains may begin, :func:`pareto_k` for the tail of
  weights, and the warnings.
"""

from .autocorrelation import ChainEstimate, chain_estimate
from .base import Result
from .distances import sliced_wasserstein, wasserstein
from .free_energies import entropy, free_energy
from .histograms import mbar, mbar_error
from .jackknife import Estimate, weighted_estimate
from .overlaps import OverlapDistribution, overlap_distribution
from .reweighting import Reweighted, multi_reweight, reweight
from .tempering import exchange_rates, stepping_stones
from .trust.beginning import Beginning, find_beginning
from .trust.cautions import (
    CautionWarning,
    DriftWarning,
    LowAcceptanceWarning,
    LowEssWarning,
    ShortChainWarning,
)
from .trust.tails import pareto_k, pareto_threshold
from .weights import (
    RESAMPLING,
    ancestors,
    block_sums,
    effective_sample_size,
    leave_one_out_sums,
    log_mean_exp,
    log_mean_exp_error,
    normalised,
)

__all__ = [
    "RESAMPLING",
    "Beginning",
    "CautionWarning",
    "ChainEstimate",
    "DriftWarning",
    "Estimate",
    "LowAcceptanceWarning",
    "LowEssWarning",
    "OverlapDistribution",
    "Result",
    "Reweighted",
    "ShortChainWarning",
    "ancestors",
    "block_sums",
    "chain_estimate",
    "effective_sample_size",
    "entropy",
    "exchange_rates",
    "find_beginning",
    "free_energy",
    "leave_one_out_sums",
    "log_mean_exp",
    "log_mean_exp_error",
    "mbar",
    "mbar_error",
    "multi_reweight",
    "normalised",
    "overlap_distribution",
    "pareto_k",
    "pareto_threshold",
    "reweight",
    "sliced_wasserstein",
    "stepping_stones",
    "wasserstein",
    "weighted_estimate",
]
