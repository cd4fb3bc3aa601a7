"""The trained networks that were published with the LEAPS paper, read without running anything in
their files.
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
from typing import Any

import torch
from torch import Tensor

from ..kernels.checks import as_device, as_integer, as_number, expect, shown
from ..models.pair import PairModel
from ..models.spins import Ising, Potts
from ..networks.lec import LEC
from ..paths.annealing import AnnealingPath
from ..samplers.sampler import Sampler

__all__ = ["load_published_leaps", "published_network"]


_PREFIX = "net."

_LAYER = {"A": "weight", "b1": "bias", "b2": "offset"}


def published_network(weights: Mapping[str, Tensor], model: PairModel) -> LEC:
    """The network of published weights, under their original names.

    ``W_0`` of these networks sees 0 beyond the edges of their periodic lattices; all later layers
    are periodic. The Ising network has one output ``G = (1+t) s_p wᵀ h``, which is ``ω = (w/2,
    -w/2)``; rows of the Potts embedding are scaled down to norm 1 where they are longer.

    Args:
        weights: by name, ``initial_conv.weight``, ``convs.0.A``, …, ``linear``, and for Potts
            ``emb.embedding.weight``.
        model: Ising, or Potts with as many states as the embedding has rows.

    Raises:
        ValueError: names or shapes of another network, weights that are no finite floating numbers.
    """
    for name, tensor in weights.items():
        real = (
            isinstance(tensor, Tensor)
            and tensor.layout == torch.strided
            and tensor.is_floating_point()
        )
        if not real or tensor.ndim < 1 or not bool(tensor.isfinite().all()):
            raise ValueError(
                f"the weight {name} must be an array of finite floating numbers, got {shown(tensor)}"
            )
    names = {name for name in weights if name != "initial_conv.mask"}
    needed = {"initial_conv.weight", "linear"} | (
        {"emb.embedding.weight"} if model.q > 2 else set()
    )
    depth = sum(re.fullmatch(r"convs\.\d+\.A", name) is not None for name in names)
    state = {}
    for layer in range(depth):
        renamed = dict(_LAYER)
        renamed |= {
            f"mlp.mlp.{i}.{p}": f"time.{i}.{p}" for i in (0, 2, 4) for p in ("weight", "bias")
        }
        needed |= {f"convs.{layer}.{old}" for old in renamed}
        for old, new in renamed.items():
            state[f"layers.{layer}.{new}"] = weights.get(f"convs.{layer}.{old}", torch.empty(0))
    if names != needed:
        different = ", ".join(sorted(names ^ needed)[:4])
        raise ValueError(
            f"the weights are not those of a published network with q = {model.q}: {different}"
        )
    first, linear = weights["initial_conv.weight"], weights["linear"]
    state |= {
        "first": first,
        "readout": torch.stack([linear / 2, -linear / 2]) if model.q == 2 else linear,
    }
    if model.q > 2:
        embedding = weights["emb.embedding.weight"]
        if embedding.ndim != 2:
            raise ValueError(
                f"the weight emb.embedding.weight must be (q, channels), got {tuple(embedding.shape)}"
            )
        norm = embedding.norm(dim=1, keepdim=True)
        state["embedding"] = torch.where(norm > 1.0, embedding / (norm + 1e-7), embedding)
    sizes = [
        first.shape[-1],
        *(round(state[f"layers.{layer}.bias"].shape[-1] ** 0.5) for layer in range(depth)),
    ]
    width = len(weights["convs.0.mlp.mlp.0.bias"]) if depth else 1
    network = LEC(
        model, sizes, channels=len(first), width=width, local_field=False, zero_edges=True
    )
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"the weights have other shapes than a published network: {error}"
        ) from None
    return network


def _read(file: Path) -> Any:
    """What a file of ``torch.save`` holds: tensors, plain data, and an ``argparse.Namespace``;
    nothing else is made.
    """
    try:
        # torch warns of other pickle protocols, which it reads or refuses all the same.
        with (
            torch.serialization.safe_globals([argparse.Namespace]),
            warnings.catch_warnings(action="ignore"),
        ):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, TypeError, ValueError, KeyError,
            IndexError, AttributeError) as error:  # fmt: skip
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        why = (
            f"it asks for {named[1]}, which is not run"
            if named
            else "it is not what torch.save writes, or damaged"
        )
        raise ValueError(f"{file.name} is no published LEAPS checkpoint: {why}") from None


def load_published_leaps(file: str | Path, device: torch.device | str | None = None) -> Sampler:
    """A sampler with a network that was published with the paper, from its original ``.ckpt`` file.

    These are Lightning checkpoints of the Ising and of the Potts model on ``L × L`` periodic
    lattices: the weights are in ``state_dict`` behind ``net.``, the model in
    ``hyper_parameters["config"]``. The path is the paper's, ``β_t = tβ`` from independent sites,
    the integrator :class:`~leaps_triton.Jump` with exact weights. The files are pickles; tensors,
    plain data and an ``argparse.Namespace`` are read from them, and a file that asks for anything
    else is refused before that is run.

    Args:
        file: ``ising_final.ckpt`` or ``potts_final.ckpt``.
        device: as of :class:`~leaps_triton.Sampler`.

    Raises:
        ValueError: another file.
        OSError: no such file, or one that cannot be read.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).
    """
    expect(isinstance(file, str | os.PathLike), "file", "the name of a file", file)
    file, device = Path(file), as_device(device)
    data = _read(file)
    try:
        state, config = data["state_dict"], data["hyper_parameters"]["config"]
        weights = {
            name.removeprefix(_PREFIX): value
            for name, value in state.items()
            if name.startswith(_PREFIX)
        }
        length = as_integer("L", config.L, 2)
        first, last = (
            as_number(name, getattr(config, name), "finite", math.isfinite)
            for name in ("beta_0", "beta_1")
        )
        states = as_integer("n_cat", config.n_cat, 2) if "emb.embedding.weight" in weights else 2
        model: PairModel = (
            Ising((length, length), last) if states == 2 else Potts((length, length), states, last)
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{file.name} is no published LEAPS checkpoint: it has no state_dict and config of one "
            f"({type(error).__name__}: {error})"
        ) from None
    if first != 0.0:
        raise ValueError(
            f"{file.name} starts at beta_0 = {first}; only paths from independent sites are known"
        )
    try:
        network = published_network(weights, model)
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from None
    return Sampler(AnnealingPath(model), network, device=device)
