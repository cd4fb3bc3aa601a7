"""Equilibrium samples along a path, and the linear response that is fitted to them."""

from .another import model_like, sampler_for
from .linear_response import linear_response
from .samples import EQUILIBRIA, equilibrate
from .transfer import fit_response, transfer

__all__ = [
    "EQUILIBRIA",
    "equilibrate",
    "fit_response",
    "linear_response",
    "model_like",
    "sampler_for",
    "transfer",
]
