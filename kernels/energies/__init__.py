"""Energies and log-ratios of local moves: the ops ``energy`` and ``local_energy``."""
