"""Energies and log-ratios on graphs: neighbours are read from a table, not computed."""
