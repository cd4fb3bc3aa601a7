"""Benchmark of the op ``tau_leap_step``: kernel, compiled twin and twin, over models, lattices and
walkers.
"""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("tau_leap_step")
