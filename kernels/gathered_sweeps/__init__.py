"""Sweeps of every site on graphs: heat bath, Metropolis and over-relaxation."""
