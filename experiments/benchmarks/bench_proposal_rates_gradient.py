"""Benchmark of the gradient of ``proposal_rates``: kernel, twin, compiled twin."""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("proposal_rates_gradient")
