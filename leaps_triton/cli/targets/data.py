"""Rows of data that a model is learned from, read from a file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import leaps_triton as lt

from ...io.packing import is_hdf5
from ...kernels.checks import as_tensor

__all__ = ["Rows", "laid_out", "read_rows"]


class Rows(NamedTuple):
    """Configurations of a file, all of equal weight."""

    rows: Tensor
    """``(samples, *shape)``"""
    lattice: Any
    """Where their sites stand; None of an array, which does not tell"""


def read_rows(file: Path) -> Rows:
    """Return the rows of a NumPy array, or the configurations of a run.

    Draws of a chain follow one another in time, so that the last rows are the latest. Weighted
    walkers are drawn as often as their weights ask for.

    Args:
        file: ``.npy``, or HDF5 of ``leaps-triton chain`` or ``sample`` with ``--configurations``.

    Raises:
        ValueError: neither of these, or a run without configurations.
    """
    with file.open("rb") as stream:
        start = stream.read(16)
    if is_hdf5(start):
        return _of_run(file)
    try:
        array = np.load(file, allow_pickle=False)
        rows = as_tensor(array)
    except (ValueError, TypeError, EOFError):
        raise ValueError(
            f"{file.name} is no array of numbers; give a .npy file of shape (samples, …), or a run "
            f"of leaps-triton chain --configurations"
        ) from None
    if rows.ndim < 2 or not len(rows):
        raise ValueError(
            f"{file.name} must hold rows of data, an array of shape (samples, …), got shape "
            f"{tuple(rows.shape)}"
        )
    return Rows(rows, None)


def _of_run(file: Path) -> Rows:
    """Return the configurations of a run."""
    run = lt.io.read(file)
    drawn = run.drawn
    if drawn is None or drawn.numel() == 0:
        raise ValueError(
            f"{file.name} holds no configurations; make it with --configurations, or give another "
            f"file"
        )
    if run.weighted:
        # Systematic: each walker comes within one of its share.
        middles = torch.full((len(drawn),), 0.5, dtype=torch.float64)
        log_weights: Any = run.log_weights  # type: ignore[union-attr]
        rows = drawn[lt.estimators.ancestors(log_weights, middles)]
    else:
        rows = drawn.transpose(0, 1).flatten(0, 1)
    return Rows(rows, run.model.lattice)


def laid_out(rows: Tensor, sites: int, shape: tuple[int, ...]) -> Tensor:
    """Return rows with the sites of a graph in one row each, where they stood on a lattice.

    Args:
        rows: ``(samples, …)``.
        sites: their number in a row, of which the data may tell all.
        shape: of configurations; rows of others are left for the model to refuse.
    """
    if len(shape) == 1 and rows[0].numel() == sites:
        return rows.flatten(1)
    return rows
