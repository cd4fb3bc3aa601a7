"""What a result was made with: versions and commit."""

import functools
import platform
import subprocess
from pathlib import Path

import torch

__all__ = ["__version__", "provenance"]

__version__ = "0.1.0"


@functools.cache
def _commit() -> str | None:
    """Commit of this checkout, with ``-dirty`` where files differ from it; None outside a git checkout."""
    root = Path(__file__).resolve().parents[1]
    # Installed inside a repository of someone else's, the commit found would be theirs.
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def provenance() -> dict[str, str | None]:
    """Versions and commit (None outside a git checkout), ready for JSON; no names of machines, users or folders.

    Example
        >>> sorted(provenance())
        ['commit', 'leaps_triton', 'python', 'torch']
    """
    return {
        "leaps_triton": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": _commit(),
    }
