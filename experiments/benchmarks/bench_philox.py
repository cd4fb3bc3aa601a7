"""Benchmark of the op ``philox``: kernel, compiled twin and twin, over models, lattices and
walkers.
"""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("philox")
