"""Run ``python -m leaps_triton.bench --op energy``."""

from .run import main

main()
