"""What commands say of a run and write at its end, and checks of its files before long work."""

import json
from pathlib import Path
from typing import Any

import torch

import leaps_triton as lt

from ..files import check_free, make_folder, write_text

__all__ = ["FIGURES", "announce", "check_figure", "check_folders", "device_name", "write"]


FIGURES = (".png", ".pdf", ".svg")
"""Endings of files of figures, which say how these are written."""


def check_folders(*files: Path | None) -> None:
    """Make the folders of files that were asked for, before there is any work to lose.

    Args:
        files: what a command is to write; None is left out.

    Raises:
        ValueError: If a folder cannot be made, a name is that of a folder, or two are the same.
        BusyError: If another process is writing a file.
    """
    asked = [file for file in files if file is not None]
    places = [file.resolve() for file in asked]
    for file, place in zip(asked, places, strict=True):
        # The second would be written over the first.
        if places.count(place) > 1:
            raise ValueError(f"two results would go into {file}; give each a file of its own")
    for file in asked:
        make_folder(file.parent, f"save {file.name}")
        if file.is_dir():
            raise ValueError(f"{file} is a folder; give the name of a file")
        check_free(file)


def check_figure(file: Path | None) -> None:
    """Raise a ValueError unless the name of a figure says how it is to be written."""
    if file is not None and file.suffix.lower() not in FIGURES:
        raise ValueError(
            f"a figure must end in {', '.join(FIGURES[:-1])} or {FIGURES[-1]}, got {file.name}"
        )


def announce(model: object, device: torch.device) -> str:
    """Print model and device; return what runs the ops there."""
    backend = lt.kernels.backend(device)
    print(f"leaps_triton {lt.__version__}: {model}")
    print(f"device {device_name(device)}; {backend}")
    return backend


def device_name(device: torch.device) -> str:
    """Return the name of a device for a person."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    # On a CPU the times depend on the number of threads.
    threads = torch.get_num_threads()
    plural = "s" if threads > 1 else ""
    return f"{device.type} ({threads} thread{plural})"


def write(file: Path | None, result: dict[str, Any]) -> None:
    """Save a result as JSON, if a file was asked for."""
    if file is not None:
        write_text(file, json.dumps(result, indent=2) + "\n")
        print(f"results: {file}")
