"""Sweeps of models of two states on square lattices, 32 spins to a word."""
