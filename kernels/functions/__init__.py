"""Real functions that twins and CPU kernels share: the same operations, to the last bit."""
