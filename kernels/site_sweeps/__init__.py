"""Sweeps over the sites, colour after colour: heat bath, Metropolis, over-relaxation."""
