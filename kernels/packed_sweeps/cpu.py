"""Packed sweeps on a CPU, bit for bit those of :mod:`.reference`."""

from .reference import packed_heat_bath_sweeps, packed_metropolis_sweeps

__all__ = ["packed_heat_bath_sweeps", "packed_metropolis_sweeps"]
