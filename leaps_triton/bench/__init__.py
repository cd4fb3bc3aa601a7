"""Benchmarks of the ops.

``python -m leaps_triton.bench --op energy``, or ``leaps-triton bench``.
"""
