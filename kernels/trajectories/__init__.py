"""Trajectories of hybrid Monte Carlo for real fields on periodic lattices."""
