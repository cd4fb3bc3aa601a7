"""What the CPU kernels of all families share: compilation, random words, threads.

A family's ``cpu.py`` holds loops that numba compiles when an op first runs on a CPU; nothing here
is imported before. They give the results of the twins to the last bit: they use the same Philox
words, the same functions of :mod:`..functions`, and sums in the same order.
"""
