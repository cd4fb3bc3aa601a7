"""Sweeps of two states on even lattices for GPUs, eight sites a word; it has no op of its own."""
