"""Benchmark of the op ``hollow_conv``: kernel or blocks, and twin, at the size of published
networks.
"""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("hollow_conv")
