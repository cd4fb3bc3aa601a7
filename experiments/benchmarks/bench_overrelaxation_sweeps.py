"""Benchmark of the op ``overrelaxation_sweeps``: kernel and twin, over lattices and walkers."""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("overrelaxation_sweeps")
