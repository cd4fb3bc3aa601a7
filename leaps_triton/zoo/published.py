"""The trained networks that were published with the LEAPS paper, read from their own files.

Nothing in the files is run.
"""

import argparse
import math
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_device, as_integer, as_number, expect, shown
from ..models.pair import PairModel
from ..models.spins import Ising, Potts
from ..networks.lec import LEC
from ..paths.annealing import AnnealingPath
from ..samplers.sampler import Sampler

__all__ = ["load_published_leaps", "published_network"]


_PREFIXES = ("net.network.", "net.")
"""What stands before the name of each weight in a file; the longer is tried first."""

_FIELDS = ("mu", "mu_0", "mu_1", "B", "B_0", "B_1")
"""Settings of a file that must be 0: chemical potential and field."""

_LAYER = {
    "A": "weight",
    "b1": "bias",
    "b2": "offset",
    "mlp.mlp.0.weight": "time.0.weight",
    "mlp.mlp.0.bias": "time.0.bias",
    "mlp.mlp.2.weight": "time.2.weight",
    "mlp.mlp.2.bias": "time.2.bias",
    "mlp.mlp.4.weight": "time.4.weight",
    "mlp.mlp.4.bias": "time.4.bias",
}
"""Published name of each weight of a layer → its name in :class:`~leaps_triton.LEC`."""

_EMBEDDING = "emb.embedding.weight"

_UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
)
"""What torch.load raises where a file is damaged or asks for something else."""


def published_network(weights: Mapping[str, Tensor], model: PairModel) -> LEC:
    """Return the network of published weights, which are given under their original names.

    ``W_0`` of these networks sees 0 beyond the edges of their periodic lattices; all later layers
    are periodic. The Ising network has one output ``G = (1+t) s_p wᵀ h``, which is ``ω = (w/2,
    -w/2)``; rows of the Potts embedding are scaled down to norm 1 where they are longer.

    Args:
        weights: by name, ``initial_conv.weight``, ``convs.0.A``, …, ``linear``, and for Potts
            ``emb.embedding.weight``.
        model: Ising, or Potts with as many states as the embedding has rows.

    Raises:
        ValueError: If names or shapes are those of another network, or weights are no finite
            floating numbers.
    """
    for name, tensor in weights.items():
        _check_weight(name, tensor)
    given = {name for name in weights if name != "initial_conv.mask"}
    depth = sum(re.fullmatch(r"convs\.\d+\.A", name) is not None for name in given)
    renamed = _renamed(depth)
    needed = {*renamed, "linear"}
    if model.q > 2:
        needed.add(_EMBEDDING)
    if given != needed:
        different = ", ".join(sorted(given ^ needed)[:4])
        raise ValueError(
            f"the weights are not those of a published network with q = {model.q}: {different}"
        )
    state = {new: weights[old] for old, new in renamed.items()}
    linear = weights["linear"]
    if model.q > 2:
        state["readout"] = linear
        state["embedding"] = _bounded(weights[_EMBEDDING])
    else:
        # The one output is the difference of two readouts: half of it each, of opposite signs.
        state["readout"] = torch.stack([linear / 2, -linear / 2])
    network = _network_like(state, depth, model)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"the weights have other shapes than a published network: {error}"
        ) from None
    return network


def _check_weight(name: str, tensor: object) -> None:
    """Refuse what is no array of finite floating numbers."""
    real = False
    if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
        real = tensor.is_floating_point() and tensor.ndim > 0
        real = real and bool(tensor.isfinite().all())
    if not real:
        raise ValueError(
            f"the weight {name} must be an array of finite floating numbers, got {shown(tensor)}"
        )


def _renamed(depth: int) -> dict[str, str]:
    """Return published name → name in the network, of the weights that are taken as they are."""
    names = {"initial_conv.weight": "first"}
    for layer in range(depth):
        for old, new in _LAYER.items():
            names[f"convs.{layer}.{old}"] = f"layers.{layer}.{new}"
    return names


def _bounded(embedding: Tensor) -> Tensor:
    """Return an embedding whose rows are scaled down to norm 1 where they are longer."""
    if embedding.ndim != 2:
        raise ValueError(
            f"the weight {_EMBEDDING} must be (q, channels), got {tuple(embedding.shape)}"
        )
    # Torch bounds the rows when they are looked up; here it is done once for all.
    norm = embedding.norm(dim=1, keepdim=True)
    # The small number is that of torch's embeddings with max_norm.
    return torch.where(norm > 1.0, embedding / (norm + 1e-7), embedding)


def _network_like(state: Mapping[str, Tensor], depth: int, model: PairModel) -> LEC:
    """Return a network of the sizes of these weights."""
    # Sizes are read off the weights themselves, so that the two cannot disagree.
    first = state["first"]
    sizes = [first.shape[-1]]
    width = 1
    for layer in range(depth):
        # Published lattices have two dimensions.
        taps = state[f"layers.{layer}.bias"].shape[-1]
        sizes.append(round(taps**0.5))
    if depth:
        width = len(state["layers.0.time.0.bias"])
    # W_0 of published networks sees 0 beyond the edges, though the lattice is periodic.
    return LEC(
        model,
        sizes,
        channels=len(first),
        width=width,
        local_field=False,
        zero_edges=True,
        # They were trained for rates [G]_+.
        gauge="plain",
    )


def _read(file: Path) -> Any:
    """Return what a file of ``torch.save`` holds, and make nothing but that.

    That is tensors, plain data, and an ``argparse.Namespace``.
    """
    known = torch.serialization.safe_globals([argparse.Namespace])
    try:
        # torch warns of other pickle protocols, which it reads or refuses all the same.
        with known, warnings.catch_warnings(action="ignore"):
            return torch.load(file, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        why = "it is not what torch.save writes, or damaged"
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named:
            why = f"it asks for {named[1]}, which is not run"
        raise ValueError(f"{file.name} is no published LEAPS checkpoint: {why}") from None


def _weights_of(data: Any) -> dict[str, Tensor]:
    """Return the weights of the network in what a file holds, under their original names."""
    given = data["state_dict"]
    for prefix in _PREFIXES:
        weights: dict[str, Tensor] = {}
        for name, value in given.items():
            if name.startswith(prefix):
                weights[name.removeprefix(prefix)] = value
        if weights:
            return weights
    return {}


def _number(config: Any, name: str, default: float | None = None) -> float:
    """Return a setting of a file, a finite number."""
    if default is None:
        value = getattr(config, name)
    else:
        # Files of the first layout do not speak of couplings and fields.
        value = getattr(config, name, default)
    return as_number(name, value, "finite", math.isfinite)


class _Path(NamedTuple):
    """What a file says of its path; each goes from its first to its last value as ``t`` does."""

    beta_0: float
    beta_1: float
    j_0: float
    j_1: float
    other: dict[str, Any]
    """All other settings that have a say, by name"""

    @classmethod
    def of(cls, config: Any) -> "_Path":
        """Return the path of a file's ``config``."""
        other: dict[str, Any] = {"path": getattr(config, "path", "linear")}
        for name in _FIELDS:
            other[name] = _number(config, name, 0.0)
        return cls(
            _number(config, "beta_0"),
            _number(config, "beta_1"),
            _number(config, "J_0", 1.0),
            _number(config, "J_1", 1.0),
            other,
        )

    def obstacle(self) -> str:
        """Return why this is no path with ``β_t J_t`` linear from 0; empty if it is."""
        if self.other["path"] != "linear":
            return f"has path = {self.other['path']!r}; only 'linear' is known"
        for name in _FIELDS:
            if self.other[name] != 0.0:
                return f"has {name} = {self.other[name]:g}; only models without a field are known"
        # One of the two stays as it is, else their product is no line.
        if self.j_0 == self.j_1:
            if self.beta_0 != 0.0:
                return (
                    f"starts at beta_0 = {self.beta_0}; only paths from independent sites are known"
                )
            return ""
        if self.beta_0 != self.beta_1:
            return (
                f"has J_0 = {self.j_0:g}, J_1 = {self.j_1:g} and beta_0 = {self.beta_0:g}, "
                f"beta_1 = {self.beta_1:g}; only paths on which one of the two changes are known"
            )
        if self.j_0 != 0.0:
            return f"starts at J_0 = {self.j_0:g}; only paths from independent sites are known"
        return ""


def _model_of(config: Any, path: _Path, potts: bool) -> PairModel:
    """Return the model that a file's ``config`` describes, that of the end of its path."""
    length = as_integer("L", config.L, 2)
    shape = (length, length)
    states = 2
    if potts:
        states = as_integer("n_cat", config.n_cat, 2)
    if states == 2:
        return Ising(shape, path.beta_1, coupling=path.j_1)
    return Potts(shape, states, path.beta_1, coupling=path.j_1)


def load_published_leaps(file: str | Path, device: torch.device | str | None = None) -> Sampler:
    """Return a sampler with a network that was published with the paper, from its ``.ckpt`` file.

    These are Lightning checkpoints of the Ising and of the Potts model on ``L × L`` periodic
    lattices: the weights are in ``state_dict`` behind ``net.`` or ``net.network.``, the model in
    ``hyper_parameters["config"]``. The path is the paper's, from independent sites, with ``β_t J_t
    = t β J``: in the files ``J`` grows from ``J_0 = 0`` at ``beta_0 = beta_1``, or β from ``beta_0
    = 0`` at ``J_0 = J_1``, which is the same density at every ``t``; here ``β_t = tβ``. The
    integrator is :class:`~leaps_triton.Jump` with exact weights. The files are pickles; tensors,
    plain data and an ``argparse.Namespace`` are read from them, and a file that asks for anything
    else is refused before that is run.

    Args:
        file: ``ising_final.ckpt`` or ``potts_final.ckpt``.
        device: the same as in :class:`~leaps_triton.Sampler`.

    Raises:
        ValueError: If it is another file, or one of another path, with a field or a chemical
            potential: by the name of the setting.
        OSError: If there is no such file, or it cannot be read.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).
    """
    expect(isinstance(file, str | os.PathLike), "file", "the name of a file", file)
    file = Path(file)
    device = as_device(device)
    data = _read(file)
    try:
        weights = _weights_of(data)
        config = data["hyper_parameters"]["config"]
        path = _Path.of(config)
        model = _model_of(config, path, potts=_EMBEDDING in weights)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{file.name} is no published LEAPS checkpoint: it has no state_dict and config of one "
            f"({type(error).__name__}: {error})"
        ) from None
    # The uniform start is the density where β J = 0, and β_t = tβ alone is a path of the library.
    obstacle = path.obstacle()
    if obstacle:
        raise ValueError(f"{file.name} {obstacle}")
    try:
        network = published_network(weights, model)
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from None
    return Sampler(AnnealingPath(model), network, device=device)
