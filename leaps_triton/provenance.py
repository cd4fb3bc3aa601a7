"""What a result was made with: device, versions, commit."""

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

__all__ = ["__version__", "device_name", "provenance"]

__version__ = "0.1.0"

_ROOT = Path(__file__).resolve().parents[1]


def device_name(device: torch.device) -> str:
    """Name of the processor, without anything of the machine around it; with torch's threads for a
    CPU.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        fields = (
            line.partition(":") for line in information.read_text(encoding="utf-8").splitlines()
        )
        name = next(
            (value.strip() for key, _, value in fields if key.strip() == "model name"), name
        )
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"


def _triton() -> str:
    try:
        return metadata.version("triton")
    except metadata.PackageNotFoundError:
        return "none"


@functools.cache
def _commit(root: Path) -> str:
    """Commit of this checkout, with a ``+`` if its code was changed since; ``unknown`` where it is
    none.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        # Installed inside a repository of someone else's, the commit found would be theirs.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return "unknown"
        changed = git(
            "status", "--porcelain", "--untracked-files=no", "--", "leaps_triton", "kernels"
        )
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def provenance(device: torch.device | None = None) -> dict[str, str]:
    """Versions, commit, and if given the device, ready for JSON; no names of machines, users or
    folders.

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
    return about if device is None else {"device": device_name(device), **about}
