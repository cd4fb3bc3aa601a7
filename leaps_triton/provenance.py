"""What a result was made with: device, versions, commit."""

import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

__all__ = ["__version__", "device_name", "provenance", "vectors"]

__version__ = "0.1.0"

_ROOT = Path(__file__).resolve().parents[1]


def device_name(device: torch.device) -> str:
    """Return the name of the processor, with torch's threads for a CPU.

    It tells nothing of the machine around it.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    plural = "s" if threads > 1 else ""
    return f"{_processor()}, {threads} thread{plural}"


def vectors() -> str:
    """Return the widest vector instructions that loops on this CPU are compiled for.

    Those of the machine, unless numba is told of fewer by ``NUMBA_CPU_FEATURES``.
    """
    told = os.environ.get("NUMBA_CPU_FEATURES", "")
    machine = {"AVX512": "AVX-512", "DEFAULT": "no AVX2"}
    found = torch.backends.cpu.get_cpu_capability()
    if found == "AVX512" and told and "+avx512f" not in told.split(","):
        found = "AVX2"
    return machine.get(found, found)


def _processor() -> str:
    """Return the name of the CPU."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _triton() -> str:
    """Return the version of Triton, or none."""
    try:
        return metadata.version("triton")
    except metadata.PackageNotFoundError:
        return "none"


def _git(root: Path, *arguments: str) -> str:
    """Return what git says in a folder."""
    command = ["git", "-C", str(root), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return run.stdout.strip()


@functools.cache
def _commit(root: Path) -> str:
    """Return the commit of this checkout, with a ``+`` if its code was changed since.

    It is ``unknown`` where there is no checkout.
    """
    folders = ("leaps_triton", "kernels")
    try:
        # Installed inside a repository of someone else's, the commit found would be theirs.
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return "unknown"
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *folders)
        commit = _git(root, "rev-parse", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    if changed:
        return f"{commit}+"
    return commit


def provenance(device: torch.device | None = None) -> dict[str, str]:
    """Return versions, commit, and if given the device, ready for JSON.

    There are no names of machines, users or folders.

    Args:
        device: that of a result; None for none.

    Example:
        >>> sorted(provenance(torch.device("cpu")))
        ['commit', 'device', 'leaps_triton', 'python', 'torch', 'triton']
    """
    about = {
        "leaps_triton": __version__,
        "torch": torch.__version__,
        "triton": _triton(),
        "python": platform.python_version(),
        "commit": _commit(_ROOT),
    }
    if device is None:
        return about
    return {"device": device_name(device), **about}
