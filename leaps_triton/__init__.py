"""Samples and free energies of lattice models by learned continuous-time Markov chains with exact weights.

A physical *model* on a lattice, an annealing *path* to it, a *transport* (learned rates), a *sampler* that moves
walkers along the path and weighs them exactly, and *estimates* with error bars.

Example
    >>> import leaps_triton as lt
    >>> model = lt.Ising(shape=(4, 4), beta=0.4)
    >>> sampler = lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(20), lt.HeatBath(sweeps=1), device="cpu")
    >>> ensemble = sampler.sample(walkers=1000, seed=0)
    >>> energy = ensemble.estimate(lt.observables.energy)
    >>> abs(energy.pull(lt.exact.ising_energy((4, 4), beta=0.4))) < 4
    True
"""

import importlib
from types import ModuleType

from . import estimators, exact, export, io, kernels, networks, objectives, observables, rates, schedules, weights
from .chain import Chain, run_chain
from .checkpoint import load, save
from .clusters import Houdayer, SwendsenWang, Wolff
from .ctmc import Jump, TauLeap
from .estimators import ChainEstimate, Estimate, ShortChainWarning
from .kinetic import KineticMonteCarlo
from .lattice import Lattice
from .mcmc import Compose, HeatBath, Metropolis, Overrelaxation
from .models import Clock, EdwardsAnderson, Ising, PairModel, Potts
from .networks import LEA, LEC, LEM, HollowConv, LETransformer, LocalRates
from .path import AnnealingPath, Conditions
from .provenance import __version__
from .published import load_published_leaps
from .reverse import ReverseEnsemble, reverse_ess
from .sampler import Sampler, WeightedEnsemble
from .tempering import ParallelTempering
from .training import Trainer, TrainingConfig, TrainingDiverged, TrainingHistory

__all__ = [
    "LEA",
    "LEC",
    "LEM",
    "AnnealingPath",
    "Chain",
    "ChainEstimate",
    "Clock",
    "Compose",
    "Conditions",
    "EdwardsAnderson",
    "Estimate",
    "HeatBath",
    "HollowConv",
    "Houdayer",
    "Ising",
    "Jump",
    "KineticMonteCarlo",
    "LETransformer",
    "Lattice",
    "LocalRates",
    "Metropolis",
    "Overrelaxation",
    "PairModel",
    "ParallelTempering",
    "Potts",
    "ReverseEnsemble",
    "Sampler",
    "ShortChainWarning",
    "SwendsenWang",
    "TauLeap",
    "Trainer",
    "TrainingConfig",
    "TrainingDiverged",
    "TrainingHistory",
    "WeightedEnsemble",
    "Wolff",
    "__version__",
    "estimators",
    "exact",
    "export",
    "io",
    "kernels",
    "load",
    "load_published_leaps",
    "networks",
    "objectives",
    "observables",
    "physics_plots",
    "plotting",
    "rates",
    "reverse_ess",
    "run_chain",
    "save",
    "schedules",
    "weights",
]


def __getattr__(name: str) -> ModuleType:
    # Only figures need matplotlib.
    if name in ("physics_plots", "plotting"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
