"""The twins of all ops, each called with the arguments of its op.

A twin is the definition of its op, the path a CPU takes, and the oracle a kernel is tested against.
Shapes, units and errors are documented once, at the public op; the formulas stand in
``reference.py`` of each family.
"""

from typing import Any

import torch
from torch import Tensor

from .class_jumps import reference as class_jumps
from .class_jumps.reference import MOST_CLASSES, MOST_LANES, Events, LocalJumpSteps, site_classes
from .clusters import reference as clusters
from .clusters.reference import Clusters, ClusterSweeps
from .convolutions import reference as convolutions
from .convolutions.reference import Convolution, gradient_of, rounded, tap_index
from .energies.reference import (
    LocalEnergy,
    Sums,
    Tables,
    bonds_along,
    energy,
    local_energy,
    local_fields,
    state_counts,
)
from .gathered.reference import graph_energy, graph_local_energy
from .gathered_sweeps import reference as gathered_sweeps
from .gathered_sweeps.reference import GraphSweeps
from .graph_clusters import reference as graph_clusters
from .graph_clusters.reference import GraphClusters, Joined
from .hollow_network import reference as hollow_network
from .hollow_network.reference import Values
from .jumps import reference as jumps
from .jumps.reference import Event, JumpStep
from .labels import reference as labels
from .labels.reference import Bonds
from .lattice_fields.reference import (
    ActionForce,
    action_and_force,
    lattice_action,
    site_potential,
)
from .leaps.reference import (
    TauLeapStep,
    tau_leap_log_probability,
    tau_leap_log_probability_gradient,
    tau_leap_step,
)
from .normal_numbers import reference as normal_numbers
from .normal_numbers.reference import Normals
from .packed_sweeps import reference as packed_sweeps
from .packed_sweeps.reference import PackedSweeps
from .parity_maps import reference as parity_maps
from .parity_maps.reference import Passing
from .philox import philox, site_words, uniform32, uniform64
from .proposals.reference import ProposalRates, proposal_rates, proposal_rates_gradient
from .registration import taking
from .site_sweeps import reference as site_sweeps
from .site_sweeps.reference import Sweeps, heat_bath_probabilities, metropolis_acceptance
from .trajectories import reference as trajectories
from .trajectories.reference import FieldSweeps, Trajectories

__all__ = [
    "MOST_CLASSES",
    "MOST_LANES",
    "ActionForce",
    "ClusterSweeps",
    "FieldSweeps",
    "JumpStep",
    "LocalEnergy",
    "LocalJumpSteps",
    "ProposalRates",
    "Sums",
    "Tables",
    "TauLeapStep",
    "action_and_force",
    "bonds_along",
    "cluster_labels",
    "energy",
    "graph_cluster_labels",
    "graph_energy",
    "graph_heat_bath_sweeps",
    "graph_local_energy",
    "graph_metropolis_sweeps",
    "graph_overrelaxation_sweeps",
    "graph_swendsen_wang_sweeps",
    "graph_wolff_sweeps",
    "heat_bath_probabilities",
    "heat_bath_sweeps",
    "hollow_conv",
    "hollow_conv_gradient",
    "hollow_values",
    "hollow_values_gradient",
    "jump_step",
    "lattice_action",
    "local_energy",
    "local_fields",
    "local_jump_steps",
    "metropolis_acceptance",
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
    "rounded",
    "site_classes",
    "site_potential",
    "site_words",
    "state_counts",
    "swendsen_wang_sweeps",
    "tap_index",
    "tau_leap_log_probability",
    "tau_leap_log_probability_gradient",
    "tau_leap_step",
    "uniform32",
    "uniform64",
    "wolff_sweeps",
]

heat_bath_sweeps = taking(Sweeps, site_sweeps.heat_bath_sweeps)
metropolis_sweeps = taking(Sweeps, site_sweeps.metropolis_sweeps)
graph_heat_bath_sweeps = taking(GraphSweeps, gathered_sweeps.graph_heat_bath_sweeps)
graph_metropolis_sweeps = taking(GraphSweeps, gathered_sweeps.graph_metropolis_sweeps)
graph_overrelaxation_sweeps = taking(GraphSweeps, gathered_sweeps.graph_overrelaxation_sweeps)
cluster_labels = taking(Bonds, labels.cluster_labels)
swendsen_wang_sweeps = taking(Clusters, clusters.swendsen_wang_sweeps)
wolff_sweeps = taking(Clusters, clusters.wolff_sweeps)
graph_cluster_labels = taking(Joined, graph_clusters.graph_cluster_labels)
graph_swendsen_wang_sweeps = taking(GraphClusters, graph_clusters.graph_swendsen_wang_sweeps)
graph_wolff_sweeps = taking(GraphClusters, graph_clusters.graph_wolff_sweeps)
overrelaxation_sweeps = taking(Sweeps, site_sweeps.overrelaxation_sweeps)
packed_heat_bath_sweeps = taking(PackedSweeps, packed_sweeps.packed_heat_bath_sweeps)
packed_metropolis_sweeps = taking(PackedSweeps, packed_sweeps.packed_metropolis_sweeps)
quartic_trajectories = taking(Trajectories, trajectories.quartic_trajectories)
parity_map = taking(Passing, parity_maps.parity_map)
jump_step = taking(Event, jumps.jump_step)
local_jump_steps = taking(Events, class_jumps.local_jump_steps)
hollow_conv = taking(Convolution, convolutions.hollow_conv)


def hollow_conv_gradient(*arguments: Any, **named: Any) -> convolutions.Gradients:
    """Return the gradients of :func:`hollow_conv` with respect to its six tensors."""
    return convolutions.hollow_conv_gradient(*gradient_of(*arguments, **named))


def normals(
    seed: int,
    stream: int,
    event: int,
    draw: int,
    walker_index: Tensor,
    sites: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return independent normal numbers, ``(walkers, sites)``."""
    given = Normals(walker_index, seed, stream, event, draw, sites, dtype)
    return normal_numbers.normals(given)


hollow_values = taking(Values, hollow_network.hollow_values)


def hollow_values_gradient(
    to_values: Tensor, *arguments: Any, **named: Any
) -> hollow_network.Gradients:
    """Return the gradients of :func:`hollow_values` with respect to its eight parameters."""
    return hollow_network.hollow_values_gradient(to_values, Values(*arguments, **named))
