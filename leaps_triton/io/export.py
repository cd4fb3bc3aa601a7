"""Runs for other programs: NumPy archives, ArviZ and pyerrors."""

from __future__ import annotations

import hashlib
import importlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import observables as _observables
from ..kernels.checks import expect
from ..mcmc.chain import Chain
from .chains import ChainRun
from .packing import as_file
from .weighted import Run

__all__ = ["to_arviz", "to_npz", "to_pyerrors"]


def to_npz(run: Run | Chain, file: str | Path) -> None:
    """Write a run as a NumPy archive: an array an observable, and what goes with it.

    Of chains (of whose walkers those that :attr:`Chain.together <leaps_triton.Chain.together>`
    counts are correlated) ``<observable> (walkers, draws[, k])`` and ``configurations (walkers,
    draws, *shape)`` if they were kept; of weighted walkers ``log_weights (walkers,)``,
    ``<observable> (walkers[, k])`` and ``configurations``. ``manifest`` is a JSON string for runs
    of files.

    Args:
        run: what :func:`leaps_triton.io.read` or :func:`leaps_triton.run_chain` returned.
        file: ``.npz``; replaced if it exists.

    Example:
        >>> import tempfile, leaps_triton as lt
        >>> chain = lt.run_chain(
        ...     lt.Ising((4, 4), beta=0.3), lt.HeatBath(), walkers=2, sweeps=10, device="cpu"
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     to_npz(chain, f"{folder}/chain.npz")
        ...     print(np.load(f"{folder}/chain.npz")["energy"].shape)
        (2, 10)
    """
    expect(isinstance(run, Chain | Run), "run", "a run or a chain", run)
    if isinstance(run, Chain):
        arrays, configurations = dict(run.values), run.kept
    else:
        arrays, configurations = (
            {"log_weights": run.log_weights, **run.observables},
            run.configurations,
        )
    for name in ("configurations", "manifest", "file"):
        expect(
            name not in arrays,
            "observables",
            "by names other than configurations, manifest and file",
            name,
        )
    if configurations is not None:
        arrays["configurations"] = configurations
    data: dict[str, Any] = {name: value.cpu().numpy() for name, value in arrays.items()}
    if isinstance(run, Run | ChainRun):
        data["manifest"] = np.array(json.dumps(run.manifest))
    with as_file(file).open("wb") as out:
        np.savez(out, **data)


def to_arviz(chain: Chain) -> Any:
    """Values of a chain as an ArviZ ``DataTree``: group ``posterior``, walkers as chains, draws as
    draws.

    Overlaps, of one row a pair of walkers, are in a group ``pairs``. Moments keep their axis,
    ``susceptibility (chain, draw, susceptibility_dim_0)``: the function of their means is none of
    single draws. ArviZ gives every draw the same weight, so weighted walkers have no place there.
    It takes chains to be independent: where the attribute ``together`` is above 1, as with
    Houdayer's move, so many consecutive ones are not, and its errors are too small; take means over
    them first.

    Raises:
        ValueError: a run of weighted walkers.
        ImportError: ``arviz-base`` is missing.

    Example:
        >>> import leaps_triton as lt
        >>> chain = lt.run_chain(
        ...     lt.Ising((4, 4), beta=0.3), lt.HeatBath(), walkers=2, sweeps=10, device="cpu"
        ... )
        >>> dict(to_arviz(chain)["posterior"].sizes)["draw"]
        10
    """
    expect(isinstance(chain, Chain | Run), "chain", "a chain", chain)
    if not isinstance(chain, Chain):
        raise ValueError(
            f"ArviZ takes draws of equal weight, so a chain, got {type(chain).__name__}; use to_pyerrors"
        )
    arviz = _optional("arviz_base", "arviz")
    attributes = {
        "beta": float(chain.model.beta),
        "thin": chain.thin,
        "seed": chain.seed,
        "model": repr(chain.model),
    }
    attributes["together"] = chain.together
    if isinstance(chain, ChainRun):
        attributes["manifest"] = json.dumps(chain.manifest)
    groups: dict[str, dict[str, Any]] = {"posterior": {}}
    for name, value in chain.values.items():
        group = "pairs" if getattr(chain.measured[name], "pairs", False) else "posterior"
        groups.setdefault(group, {})[name] = value.cpu().numpy()
    return arviz.from_dict(groups, attrs={"/": attributes})


def to_pyerrors(
    run: Run | Chain, name: str, function: Callable[[Tensor], Tensor] | None = None
) -> Any:
    """An observable of a run as a pyerrors ``Obs``, to be combined with others there.

    Each walker of a chain is a replicum of the ensemble ``name of the model's class``, or the mean
    of those that the kernel correlates with one another (:attr:`Chain.together
    <leaps_triton.Chain.together>`); weighted walkers are one replicum of as many independent
    measurements, and the value is ``Σ w f / Σ w``. Functions of means are carried over with their
    gradients. Call ``gamma_method(S=1.5)`` for the error of
    :func:`~leaps_triton.estimators.chain_estimate`; for weighted walkers ``S=0``.

    Args:
        run: what :func:`leaps_triton.io.read` or :func:`leaps_triton.run_chain` returned.
        name: of a stored observable.
        function: of the means ``(k,)``, which autograd can differentiate; None for the observable's
            own, or the mean.

    Raises:
        ValueError: an observable that was not stored, several values without a function.
        ImportError: ``pyerrors`` is missing.

    Example:
        >>> import leaps_triton as lt
        >>> chain = lt.run_chain(
        ...     lt.Ising((4, 4), beta=0.3), lt.HeatBath(), walkers=2, sweeps=200, device="cpu"
        ... )
        >>> energy = to_pyerrors(chain, "energy")
        >>> energy.gamma_method(S=1.5)
        >>> bool(abs(energy.dvalue / chain.estimate("energy").error - 1) < 1e-9)
        True
    """
    expect(isinstance(run, Chain | Run), "run", "a run or a chain", run)
    expect(isinstance(name, str), "name", "that of a stored observable", name)
    expect(
        function is None or callable(function), "function", "None or a function of means", function
    )
    stored = run.values if isinstance(run, Chain) else run.observables
    if name not in stored:
        raise ValueError(f"observable must be one of {', '.join(stored)}, got {name!r}")
    values = stored[name].double().cpu()
    observable = run.measured[name] if isinstance(run, Chain) else getattr(_observables, name)
    function = function or getattr(observable, "function", None)
    scalar = values.ndim == (2 if isinstance(run, Chain) else 1)
    if function is None and not scalar:
        raise ValueError(
            f"{name} has {values.shape[-1]} means; give function= to make one number of them"
        )
    columns = list((values.unsqueeze(-1) if scalar else values).unbind(-1))
    chosen = function

    def of_means(means: Tensor) -> Tensor:
        kept = means[0] if scalar else means
        return kept if chosen is None else chosen(kept)

    # pyerrors takes observables of one ensemble and replica for one history, so that every run has
    # a name of its own.
    about: Any
    if isinstance(run, Chain):
        about = (run.move, run.thin, run.burn_in, run.seed)
    else:
        about = json.dumps(run.manifest, sort_keys=True)
    of_run = hashlib.sha256(repr((run.model, about)).encode()).hexdigest()[:8]
    ensemble = f"{repr(run.model).partition('(')[0]} beta {run.model.beta!r} run {of_run}"
    if isinstance(run, Chain):
        groups = [column.unflatten(0, (-1, run.together_of(name))).mean(1) for column in columns]
        return _derived([_obs(column, ensemble) for column in groups], of_means)
    share = torch.softmax(run.log_weights.double().cpu(), 0) * len(run.log_weights)
    primary = [
        _obs((share * column).unsqueeze(0), ensemble)
        for column in (torch.ones_like(share), *columns)
    ]
    return _derived(primary, lambda means: of_means(means[1:] / means[0]))


def _obs(series: Tensor, ensemble: str) -> Any:
    """A primary observable of series ``(walkers, draws)``, all about one mean."""
    pyerrors = _optional("pyerrors", "pyerrors")
    mean = float(series.mean())
    names = [ensemble] if len(series) == 1 else [f"{ensemble}|r{i:06d}" for i in range(len(series))]
    # Left to itself, pyerrors takes the mean of every replicum apart, which hides how far walkers
    # are from one another.
    found = pyerrors.Obs(
        [(row - mean).numpy() for row in series], names, means=[mean] * len(series)
    )
    found._value = mean
    return found


def _derived(primary: list[Any], function: Callable[[Tensor], Tensor]) -> Any:
    point = torch.tensor([obs.value for obs in primary], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(point), point)

    def value(means: Any, **_: object) -> Any:
        return np.float64(function(torch.as_tensor(means)).detach().numpy())

    pyerrors = _optional("pyerrors", "pyerrors")
    return pyerrors.derived_observable(value, primary, man_grad=gradient.numpy())


def _optional(package: str, extra: str) -> Any:
    try:
        with warnings.catch_warnings():
            # pyerrors imports scipy.odr for fits, which nothing here does.
            warnings.filterwarnings(
                "ignore", message="`scipy.odr` is deprecated", category=DeprecationWarning
            )
            return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"this needs the package {package.replace('_', '-')}; install it by pip install 'leaps_triton[{extra}]'"
        ) from error
