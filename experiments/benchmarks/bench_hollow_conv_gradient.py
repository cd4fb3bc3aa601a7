"""Benchmark of the gradient of ``hollow_conv``: kernel or blocks, and twin, at the size of the
published networks.
"""

from leaps_triton.benchmark import main

if __name__ == "__main__":
    main("hollow_conv_gradient")
