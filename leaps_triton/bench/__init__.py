"""Benchmarks of the ops.

Start them by ``python -m leaps_triton.bench --op energy``, or by ``leaps-triton bench``.
"""
