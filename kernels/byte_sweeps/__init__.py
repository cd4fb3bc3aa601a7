"""Sweeps of models of two states on even lattices for GPUs, eight sites a word: no op of its own."""
