"""Locally equivariant networks, and drifts of fields.

A network maps configurations ``(walkers, *shape)`` and
:class:`~leaps_triton.models.base.Conditions` to ``D_k(i | x)``, ``(walkers, q-1, *shape)``, with
*local equivariance* ``D_k(i | x) = -D_{q-k}(i | x^{(i,k)})``: then ``[D_k]_+ p_k`` are the rates
out of ``x``, with ``p`` the probabilities of a heat bath, and ``[-D_k]_+ p_k`` those of the
reversed process. In the plain gauge it is ``G`` in the place of ``D``, with ``[G]_+`` the rates out
of ``x`` and ``[-G]_+`` the rates of the reverse moves into it. Local equivariance holds for
``D_k(i | x) = f_{x_i + k}(i) - f_{x_i}(i)`` whenever the features ``f(i)`` do not read ``x_i``
("hollow").
"""

from ..kernels.hollow_network.reference import exact_convolutions
from ..models.base import Conditions
from ..registry import things
from .attention import LEA, LETransformer
from .base import (
    Equivariant,
    StateReadout,
    as_channels,
    check_kernel,
    field_input,
    initialise,
    local_field,
    positions,
    site_inputs,
    time_network,
)
from .drift import (
    DenseDrift,
    Drift,
    ForeignDrift,
    GaussianDrift,
    GradientDrift,
    HollowDenseDrift,
    HollowDrift,
)
from .energies import LearnedEnergy
from .hollow_conv import HollowConv
from .incremental import Follower
from .lec import LEC
from .lem import LEM
from .linear_response.network import LinearResponse
from .linear_response.rings import Rings
from .linear_response.standing import as_gate
from .local_rates import LocalRates, Shells
from .symmetric import SymmetricConv

__all__ = [
    "DRIFTS",
    "LEA",
    "LEC",
    "LEM",
    "NETWORKS",
    "Conditions",
    "DenseDrift",
    "Drift",
    "Equivariant",
    "Follower",
    "ForeignDrift",
    "GaussianDrift",
    "GradientDrift",
    "HollowConv",
    "HollowDenseDrift",
    "HollowDrift",
    "LETransformer",
    "LearnedEnergy",
    "LinearResponse",
    "LocalRates",
    "Rings",
    "Shells",
    "StateReadout",
    "SymmetricConv",
    "as_channels",
    "as_gate",
    "check_kernel",
    "exact_convolutions",
    "field_input",
    "initialise",
    "local_field",
    "positions",
    "site_inputs",
    "time_network",
]


_ALL = things("network")

NETWORKS: dict[str, type[Equivariant]] = {
    name: each for name, each in _ALL.items() if issubclass(each, Equivariant)
}
"""All networks of rates of the library, by name; each is made by a model and its ``settings``."""

DRIFTS: dict[str, type[Drift]] = {
    name: each for name, each in _ALL.items() if issubclass(each, Drift)
}
"""All drifts of the library, by name; made by a model and their ``settings`` too."""
