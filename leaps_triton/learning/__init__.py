"""Parameters of models learned from data."""
