"""Benchmark of the gradient of ``tau_leap_log_probability``: kernel, twin, compiled twin."""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("tau_leap_log_probability_gradient")
