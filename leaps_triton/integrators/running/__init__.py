"""Weights of a density that runs on within the intervals, while the rates are frozen."""
