"""Kernels around packed sweeps: where walkers lie, thresholds and signs, packing and unpacking."""
