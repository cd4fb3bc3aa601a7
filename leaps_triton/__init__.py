"""Samples and free energies of lattice models by learned Markov chains with exact weights.

A physical *model* on a lattice or a graph, an annealing *path* to it, a *transport* (learned rates,
or a drift), a *sampler* that moves walkers along the path and weighs them exactly, and *estimates*
with error bars.

Example:
    >>> import leaps_triton as lt
    >>> model = lt.Ising(shape=(4, 4), beta=0.4)
    >>> sampler = lt.Sampler(
    ...     lt.AnnealingPath(model), None, lt.Jump(20), lt.HeatBath(sweeps=1), device="cpu"
    ... )
    >>> ensemble = sampler.sample(walkers=1000, seed=0)
    >>> energy = ensemble.estimate(lt.observables.energy)
    >>> abs(energy.pull(lt.exact.ising_energy((4, 4), beta=0.4))) < 4
    True
"""

import importlib
import os
from types import ModuleType

from . import estimators, exact, io, kernels, learning, networks, observables
from .estimators import (
    ChainEstimate,
    DriftWarning,
    Estimate,
    LowAcceptanceWarning,
    LowEssWarning,
    ShortChainWarning,
    weights,
)
from .integrators import rates
from .integrators.flows.map_step import MapStep
from .integrators.flows.path_ratio import PathRatio
from .integrators.flows.runge_kutta import RungeKutta
from .integrators.jump import Jump
from .integrators.tau_leap import TauLeap
from .io import export
from .io.checkpoint import load, save
from .lattices.couplings import read_couplings
from .lattices.files import GraphFile, read_graph
from .lattices.graph import Graph
from .lattices.hypercubic import Lattice
from .learning import (
    Annealed,
    EnergyDiscrepancy,
    Exact,
    FromData,
    Jarzynski,
    Learner,
    MaximumLikelihood,
    MeanField,
    Persistent,
    PseudoLikelihood,
    tap,
)
from .mcmc.base import NotErgodicWarning
from .mcmc.chain import Chain
from .mcmc.clusters import SwendsenWang, Wolff
from .mcmc.compose import Compose, default_move
from .mcmc.fields import HMC, Langevin, SignCluster
from .mcmc.houdayer import Houdayer
from .mcmc.kinetic import KineticMonteCarlo
from .mcmc.march import run_chain
from .mcmc.sweeps import HeatBath, Metropolis, Overrelaxation
from .mcmc.tempering import ParallelTempering
from .models.base import Conditions
from .models.densities import Density, Funnel, GaussianMixture, LaplacePair, ManyWell
from .models.fields import PhiFour
from .models.machines import RBM
from .models.pair import PairModel
from .models.spins import Clock, EdwardsAnderson, Ising, Potts
from .networks.attention import LEA, LETransformer
from .networks.drift import (
    DenseDrift,
    GaussianDrift,
    GradientDrift,
    HollowDenseDrift,
    HollowDrift,
)
from .networks.energies import LearnedEnergy
from .networks.hollow_conv import HollowConv
from .networks.lec import LEC
from .networks.lem import LEM
from .networks.local_rates import LocalRates
from .networks.symmetric.conv import SymmetricConv
from .paths.annealing import AnnealingPath
from .paths.flow import GradientFlowPath
from .paths.free_field import FreeField
from .paths.gaussian import Gaussian, Laplace
from .paths.starts import Independent
from .provenance import __version__
from .registry import register
from .samplers import ReverseEnsemble, Sampler, Scan, WeightedEnsemble, reverse_ess, scan, schedules
from .training import Trainer, TrainingConfig, TrainingDiverged, TrainingHistory, linear_response
from .training import losses as objectives
from .zoo import load_published_leaps

# Modules at their former names, importable with a warning.
__path__.append(os.path.join(os.path.dirname(__file__), "former"))

__all__ = [
    "HMC",
    "LEA",
    "LEC",
    "LEM",
    "RBM",
    "Annealed",
    "AnnealingPath",
    "Chain",
    "ChainEstimate",
    "Clock",
    "Compose",
    "Conditions",
    "DenseDrift",
    "Density",
    "DriftWarning",
    "EdwardsAnderson",
    "EnergyDiscrepancy",
    "Estimate",
    "Exact",
    "FreeField",
    "FromData",
    "Funnel",
    "Gaussian",
    "GaussianDrift",
    "GaussianMixture",
    "GradientDrift",
    "GradientFlowPath",
    "Graph",
    "GraphFile",
    "HeatBath",
    "HollowConv",
    "HollowDenseDrift",
    "HollowDrift",
    "Houdayer",
    "Independent",
    "Ising",
    "Jarzynski",
    "Jump",
    "KineticMonteCarlo",
    "LETransformer",
    "Langevin",
    "Laplace",
    "LaplacePair",
    "Lattice",
    "LearnedEnergy",
    "Learner",
    "LocalRates",
    "LowAcceptanceWarning",
    "LowEssWarning",
    "ManyWell",
    "MapStep",
    "MaximumLikelihood",
    "MeanField",
    "Metropolis",
    "NotErgodicWarning",
    "Overrelaxation",
    "PairModel",
    "ParallelTempering",
    "PathRatio",
    "Persistent",
    "PhiFour",
    "Potts",
    "PseudoLikelihood",
    "ReverseEnsemble",
    "RungeKutta",
    "Sampler",
    "Scan",
    "ShortChainWarning",
    "SignCluster",
    "SwendsenWang",
    "SymmetricConv",
    "TauLeap",
    "Trainer",
    "TrainingConfig",
    "TrainingDiverged",
    "TrainingHistory",
    "WeightedEnsemble",
    "Wolff",
    "__version__",
    "default_move",
    "estimators",
    "exact",
    "export",
    "io",
    "kernels",
    "learning",
    "linear_response",
    "load",
    "load_published_leaps",
    "networks",
    "objectives",
    "observables",
    "physics_plots",
    "plotting",
    "rates",
    "read_couplings",
    "read_graph",
    "register",
    "reverse_ess",
    "run_chain",
    "save",
    "scan",
    "schedules",
    "tap",
    "weights",
]


def __getattr__(name: str) -> ModuleType:
    # Only figures need matplotlib.
    if name in ("physics_plots", "plotting"):
        return importlib.import_module(f"{__name__}.report.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
