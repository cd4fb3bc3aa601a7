"""Samplers that come with the library, trained, with how they were made and how good they are.

The files lie beside this one, each with an entry in ``index.json`` that ``make zoo`` writes:
recipe, seed, seconds, device, and what fresh walkers said.
"""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import torch

from ..io.checkpoint import rebuild, unpack
from ..kernels.checks import nearest
from ..samplers.sampler import Sampler
from ..training import model_like, sampler_for

__all__ = ["about", "load", "names"]


_INDEX = "index.json"


@cache
def _entries() -> dict[str, dict[str, Any]]:
    """Return all entries, by name."""
    file = resources.files(__package__) / _INDEX
    entries: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return entries


def names() -> list[str]:
    """Return the names of all samplers of the zoo.

    Example:
        >>> "ising-8" in names()
        True
    """
    return sorted(_entries())


def about(name: str) -> dict[str, Any]:
    """Return how a sampler of the zoo was made, and how good it is.

    Args:
        name: one of :func:`names`.

    Returns:
        Plain data: model, recipe, seed, seconds of training, device, ESS, log Z and its error.

    Raises:
        ValueError: There is no sampler of that name; it tells which there are.
    """
    entries = _entries()
    if name not in entries:
        known = ", ".join(names())
        raise ValueError(f"the zoo has {known}; got {name!r}{nearest(name, entries)}")
    return entries[name]


def load(
    name: str,
    device: torch.device | str | None = None,
    beta: float | None = None,
    shape: Sequence[int] | int | None = None,
) -> Sampler:
    """Return a trained sampler of the zoo, ready to draw weighted walkers.

    Its weights are exact at any β and on any lattice, be they those of its training or not; how
    many walkers they leave is what :func:`about` says of the former alone.

    Args:
        name: one of :func:`names`.
        device: None for CUDA where there is a CUDA device, else the CPU.
        beta: inverse temperature; None for that of its training, which is the largest that the
            network knows.
        shape: lengths of another lattice; the linear response that the network stands on is then
            fitted anew, to samples of that lattice, which takes seconds to minutes. None for those
            of its training.

    Raises:
        ValueError: There is no sampler of that name, or its network is not for such a model.

    Example:
        >>> import leaps_triton as lt
        >>> sampler = lt.zoo.load("ising-8", device="cpu")
        >>> sampler.path.model
        Ising(shape=(8, 8), q=2, beta=0.4407, periodic=(True, True))
    """
    file = about(name)["file"]
    data = (resources.files(__package__) / file).read_bytes()
    sampler = rebuild(unpack(data, file), file, device)
    if beta is None and shape is None:
        return sampler
    return sampler_for(sampler, model_like(sampler.path.model, beta, shape))
