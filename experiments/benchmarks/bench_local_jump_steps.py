"""Benchmark of the op ``local_jump_steps``: kernel and twin, over lattices and walkers."""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("local_jump_steps")
