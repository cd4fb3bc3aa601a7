"""Benchmark of the op ``energy``: kernel, compiled twin and twin, over models, lattices and
walkers.
"""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("energy")
