"""``python -m leaps_triton`` is the ``leaps-triton`` command."""

from .cli import main

if __name__ == "__main__":
    main()
