"""Benchmark of the op ``cluster_labels``: kernel and twin, over models, lattices and walkers."""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("cluster_labels")
