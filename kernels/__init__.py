"""The public ops of the library.

Each checks its inputs once, then runs a Triton kernel (CUDA devices) or its twin of
:mod:`.reference`.

Import this package as ``leaps_triton.kernels``. The top-level name ``kernels`` belongs to another
package.

Conventions shared by all ops: ``configurations`` are int8 ``0 … q-1`` of shape ``(walkers,
*shape)``, one to four lattice axes; ``walkers`` and ``events`` are int64 ``(walkers,)``, the global
index of each walker and its event count, which enter the random numbers; ``seed`` is an integer in
[0, 2³²). A model is ``H(x) = -Σ J φ(x_i, x_j) - Σ h_i(x_i)``: ``coupling`` float64 ``(1 | walkers,
1 | axes, *shape)`` (entry ``[., d, i]``: the bond from site ``i`` in positive direction ``d``;
every lattice axis may have size 1 where the coupling is uniform), ``bond_table`` ``φ`` float64
``(q, q)``, ``site_table`` ``h`` float64 ``(1 | walkers, q, *shape)``, ``beta`` float64 ``(1 |
walkers,)``, ``periodic`` one bool per axis. Ops of real fields take float32 or float64 ``(walkers,
*shape)`` on periodic lattices, and couplings float64 ``(1 | walkers,)``.
On graphs configurations are ``(walkers, sites)``, and couplings those of the edges: see
:func:`graph_local_energy`.
"""

from . import reference
from .checks import PRECISIONS, as_precision
from .class_jumps.op import local_jump_steps
from .class_jumps.reference import MOST_CLASSES, MOST_LANES, LocalJumpSteps, RunningClasses
from .clusters.op import swendsen_wang_sweeps, wolff_sweeps
from .clusters.reference import ClusterSweeps
from .convolutions.op import hollow_conv, hollow_conv_gradient
from .energies.entering import Entered, enter_intervals
from .energies.op import energy, local_energy
from .energies.reference import LocalEnergy, Sums
from .gathered.op import graph_energy, graph_local_energy
from .gathered_sweeps.op import (
    graph_heat_bath_sweeps,
    graph_metropolis_sweeps,
    graph_overrelaxation_sweeps,
)
from .graph_clusters.op import (
    graph_cluster_labels,
    graph_swendsen_wang_sweeps,
    graph_wolff_sweeps,
)
from .hollow_network.op import hollow_values
from .jumps.op import hold_correction, jump_step
from .jumps.reference import JumpStep, Running
from .labels.op import cluster_labels
from .lattice_fields.op import action_and_force, lattice_action, site_potential
from .lattice_fields.reference import ActionForce
from .leaps.op import tau_leap_log_probability, tau_leap_log_probability_gradient, tau_leap_step
from .leaps.reference import TauLeapStep
from .normal_numbers.op import normals
from .packed_sweeps.op import packed_heat_bath_sweeps, packed_metropolis_sweeps
from .parity_maps.op import parity_map
from .parity_maps.reference import Moved
from .philox import Stream, philox, uniform32, uniform64
from .proposals.op import GAUGES, REVERSIBLE, proposal_rates, proposal_rates_gradient
from .proposals.reference import ProposalRates
from .registration import backend
from .site_sweeps.op import heat_bath_sweeps, metropolis_sweeps, overrelaxation_sweeps
from .trajectories.op import quartic_trajectories
from .trajectories.reference import FieldSweeps

__all__ = [
    "GAUGES",
    "MOST_CLASSES",
    "MOST_LANES",
    "PRECISIONS",
    "REVERSIBLE",
    "ActionForce",
    "ClusterSweeps",
    "Entered",
    "FieldSweeps",
    "JumpStep",
    "LocalEnergy",
    "LocalJumpSteps",
    "Moved",
    "ProposalRates",
    "Running",
    "RunningClasses",
    "Stream",
    "Sums",
    "TauLeapStep",
    "action_and_force",
    "as_precision",
    "backend",
    "cluster_labels",
    "energy",
    "enter_intervals",
    "graph_cluster_labels",
    "graph_energy",
    "graph_heat_bath_sweeps",
    "graph_local_energy",
    "graph_metropolis_sweeps",
    "graph_overrelaxation_sweeps",
    "graph_swendsen_wang_sweeps",
    "graph_wolff_sweeps",
    "heat_bath_sweeps",
    "hold_correction",
    "hollow_conv",
    "hollow_conv_gradient",
    "hollow_values",
    "jump_step",
    "lattice_action",
    "local_energy",
    "local_jump_steps",
    "metropolis_sweeps",
    "normals",
    "overrelaxation_sweeps",
    "packed_heat_bath_sweeps",
    "packed_metropolis_sweeps",
    "parity_map",
    "philox",
    "proposal_rates",
    "proposal_rates_gradient",
    "quartic_trajectories",
    "reference",
    "site_potential",
    "swendsen_wang_sweeps",
    "tau_leap_log_probability",
    "tau_leap_log_probability_gradient",
    "tau_leap_step",
    "uniform32",
    "uniform64",
    "wolff_sweeps",
]
