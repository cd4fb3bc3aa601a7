"""Compilation of the kernels ahead of time, without a GPU, and what their binaries use."""
