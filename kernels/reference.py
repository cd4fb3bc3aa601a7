"""The twins of all ops, each called with the arguments of its op.

A twin is the definition of its op, the path a CPU takes, and the oracle a kernel is tested against.
Shapes, units and errors are documented once, at the public op; the formulas stand in ``reference.py``
of each family.
"""

from .class_jumps.reference import (
    MOST_CLASSES,
    MOST_LANES,
    LocalJumpSteps,
    local_jump_steps,
    site_classes,
)
from .convolutions.reference import hollow_conv, hollow_conv_gradient, rounded, tap_index
from .energies.reference import (
    LocalEnergy,
    Sums,
    bonds_along,
    energy,
    local_energy,
    local_fields,
    state_counts,
)
from .jumps.reference import JumpStep, jump_step
from .labels.reference import cluster_labels
from .leaps.reference import (
    TauLeapStep,
    tau_leap_log_probability,
    tau_leap_log_probability_gradient,
    tau_leap_step,
)
from .philox import philox, site_words, uniform32, uniform64
from .proposals.reference import ProposalRates, proposal_rates, proposal_rates_gradient
from .site_sweeps.reference import (
    heat_bath_probabilities,
    heat_bath_sweeps,
    metropolis_acceptance,
    metropolis_sweeps,
    overrelaxation_sweeps,
)

__all__ = [
    "MOST_CLASSES",
    "MOST_LANES",
    "JumpStep",
    "LocalEnergy",
    "LocalJumpSteps",
    "ProposalRates",
    "Sums",
    "TauLeapStep",
    "bonds_along",
    "cluster_labels",
    "energy",
    "heat_bath_probabilities",
    "heat_bath_sweeps",
    "hollow_conv",
    "hollow_conv_gradient",
    "jump_step",
    "local_energy",
    "local_fields",
    "local_jump_steps",
    "metropolis_acceptance",
    "metropolis_sweeps",
    "overrelaxation_sweeps",
    "philox",
    "proposal_rates",
    "proposal_rates_gradient",
    "rounded",
    "site_classes",
    "site_words",
    "state_counts",
    "tap_index",
    "tau_leap_log_probability",
    "tau_leap_log_probability_gradient",
    "tau_leap_step",
    "uniform32",
    "uniform64",
]
