"""Runs for other programs: NumPy archives, pandas, xarray, ArviZ and pyerrors."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..estimators.base import Function, Measurable, Result
from ..estimators.jackknife import Estimate
from ..exact.known import known
from ..files import replacing
from ..kernels.checks import expect, nearest
from ..mcmc.chain import Chain
from ..models.varied import couplings_of
from ..observables.base import OBSERVABLES, entered, function_of, is_of_pairs, title_of
from ..observables.fields import chosen_for
from ..provenance import __version__
from ..samplers.weighted import Weighted
from .packing import as_file
from .results import Stored

__all__ = ["to_arviz", "to_frame", "to_npz", "to_pyerrors", "to_xarray"]


def to_npz(run: Result, file: str | Path) -> None:
    """Write a run as a NumPy archive: an array per observable, and what goes with it.

    An archive of chains holds ``<observable> (walkers, draws[, k])``, and ``configurations
    (walkers, draws, *shape)`` if they were kept; as many consecutive walkers as
    :attr:`Chain.together <leaps_triton.Chain.together>` counts are correlated. One of weighted
    walkers holds ``log_weights (walkers,)``, ``<observable> (walkers[, k])`` and
    ``configurations``. ``manifest`` is a JSON string for runs of files.

    Args:
        run: what :func:`leaps_triton.io.read`, :func:`leaps_triton.run_chain` or
            :meth:`leaps_triton.Sampler.sample` returned.
        file: ``.npz``; replaced if it exists.

    Raises:
        ValueError: If an observable has a name that the archive has for something else.
        OSError: If the file cannot be written; it is as it was.

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
    expect(isinstance(run, Result), "run", "a run or a chain", run)
    wanted = "by names other than configurations, manifest and file"
    # `file` is an argument of np.savez itself.
    for name in ("configurations", "manifest", "file"):
        expect(name not in run.values, "observables", wanted, name)
    arrays: dict[str, Tensor] = dict(run.values)
    if isinstance(run, Weighted):
        arrays["log_weights"] = run.log_weights
    if run.drawn is not None:
        arrays["configurations"] = run.drawn
    data: dict[str, Any] = {name: value.cpu().numpy() for name, value in arrays.items()}
    if isinstance(run, Stored):
        data["manifest"] = np.array(json.dumps(run.manifest))
    # An open file: to a name without .npz np.savez would add it.
    with replacing(as_file(file)) as part, part.open("wb") as out:
        np.savez(out, **data)


def to_arviz(chain: Chain) -> Any:
    """Return values of a chain as an ArviZ ``DataTree``, walkers as chains and draws as draws.

    They are in the group ``posterior``; overlaps, with one row per pair of walkers, in a group
    ``pairs``. Moments keep their axis, ``susceptibility (chain, draw, susceptibility_dim_0)``: the
    function of their means is none of single draws. ArviZ gives every draw the same weight, so
    weighted walkers have no place there. It takes chains to be independent: where the attribute
    ``together`` is above 1, as with Houdayer's move, so many consecutive ones are not, and its
    errors are too small; take means over them first.

    Args:
        chain: what :func:`leaps_triton.io.read` or :func:`leaps_triton.run_chain` returned.

    Raises:
        ValueError: If the walkers are weighted.
        ImportError: If ``arviz-base`` is missing.

    Example:
        >>> import leaps_triton as lt
        >>> chain = lt.run_chain(
        ...     lt.Ising((4, 4), beta=0.3), lt.HeatBath(), walkers=2, sweeps=10, device="cpu"
        ... )
        >>> dict(to_arviz(chain)["posterior"].sizes)["draw"]
        10
    """
    expect(isinstance(chain, Result), "chain", "a chain", chain)
    if chain.weighted:
        raise ValueError(
            f"ArviZ takes draws of equal weight, so a chain, got {type(chain).__name__}; use "
            f"to_pyerrors"
        )
    arviz = _optional("arviz_base", "arviz")
    attributes = _attributes(chain)
    groups: dict[str, dict[str, Any]] = {"posterior": {}}
    for name, value in chain.values.items():
        group = "pairs" if is_of_pairs(chain.measured[name]) else "posterior"
        groups.setdefault(group, {})[name] = value.cpu().numpy()
    return arviz.from_dict(groups, attrs={"/": attributes})


def to_frame(run: Result, observables: Sequence[Measurable | str] | None = None) -> Any:
    """Return estimates of a run as a pandas ``DataFrame``, one row per observable.

    Columns are ``value``, ``error``, ``tau`` and ``tau_error`` in draws, ``exact`` where it is
    known and takes seconds, and ``pull``, the distance from it in errors; NaN where there is none.
    Of weighted walkers the first row is ``log_z``. ``attrs`` holds model, β, seed and version.

    Args:
        run: what :func:`leaps_triton.io.read`, :func:`leaps_triton.run_chain` or
            :meth:`leaps_triton.Sampler.sample` returned.
        observables: functions and names; None for all that were measured, or where nothing was for
            those of the printed table.

    Raises:
        ValueError: If an observable cannot be estimated from the run.
        ImportError: If ``pandas`` is missing.

    Example:
        >>> import leaps_triton as lt
        >>> chain = lt.run_chain(
        ...     lt.Ising((4, 4), beta=0.3), lt.HeatBath(), walkers=8, sweeps=500, device="cpu"
        ... )
        >>> bool(abs(to_frame(chain).loc["energy", "pull"]) < 4)
        True
    """
    expect(isinstance(run, Result), "run", "a run or a chain", run)
    pandas = _optional("pandas", "pandas")
    if observables is None:
        observables = run.names or chosen_for(run.model, OBSERVABLES)
    exact = known(run.model)
    rows = {}
    if run.weighted:
        found = run.diagnostics
        rows["log_z"] = (Estimate(found["log_z"], found["log_z_error"]), exact.get("log_z"))
    for observable in observables:
        name = observable if isinstance(observable, str) else title_of(observable)
        reference = None
        # Another function may have the name of one of the library.
        if observable in (name, entered().get(name)):
            reference = exact.get(name)
        rows[name] = (run.estimate(observable), reference)
    table = {name: _row(estimate, reference) for name, (estimate, reference) in rows.items()}
    frame = pandas.DataFrame.from_dict(table, orient="index", dtype=float)
    frame.index.name = "name"
    frame.attrs.update(_attributes(run))
    return frame


def _row(estimate: Any, reference: float | None) -> dict[str, float]:
    """Return an estimate as a row of numbers, NaN for those that there are not."""
    row = {"value": estimate.value, "error": estimate.error, "tau": math.nan, "tau_error": math.nan}
    for name in ("tau", "tau_error"):
        row[name] = estimate.details.get(name, math.nan)
    row["exact"] = math.nan
    row["pull"] = math.nan
    if reference is not None:
        row["exact"] = reference
        row["pull"] = estimate.pull(reference)
    return row


def to_xarray(run: Result) -> Any:
    """Return values and configurations of a run as an xarray ``Dataset`` with named dimensions.

    Observables are ``(walker, draw)`` of chains and ``(walker,)`` of weighted walkers, overlaps
    ``(pair, draw)``; moments have an axis of their own, ``<observable>_component``.
    ``configurations`` end in the axes of the lattice, ``site_0``, ``site_1`` and so on, and
    weighted walkers have ``log_weights``. Attributes are model, β, seed and version, and the
    manifest of a file as JSON; all are such as netCDF keeps.

    Args:
        run: what :func:`leaps_triton.io.read`, :func:`leaps_triton.run_chain` or
            :meth:`leaps_triton.Sampler.sample` returned.

    Raises:
        ValueError: If an observable has a name that the data set has for something else.
        ImportError: If ``xarray`` is missing.

    Example:
        >>> import leaps_triton as lt
        >>> chain = lt.run_chain(
        ...     lt.Ising((4, 4), beta=0.3), lt.HeatBath(), walkers=2, sweeps=10, device="cpu"
        ... )
        >>> dict(to_xarray(chain)["energy"].sizes)
        {'walker': 2, 'draw': 10}
    """
    expect(isinstance(run, Result), "run", "a run or a chain", run)
    xarray = _optional("xarray", "xarray")
    wanted = "by names other than configurations, log_weights, walker, pair and draw"
    for name in ("configurations", "log_weights", "walker", "pair", "draw"):
        expect(name not in run.values, "observables", wanted, name)
    draws = [] if run.weighted else ["draw"]
    variables: dict[str, Any] = {}
    for name, value in run.values.items():
        rows = "pair" if is_of_pairs(run.measured[name]) else "walker"
        dimensions = [rows, *draws]
        if value.ndim > len(dimensions):
            dimensions.append(f"{name}_component")
        variables[name] = (dimensions, value.cpu().numpy())
    if isinstance(run, Weighted):
        variables["log_weights"] = (["walker"], run.log_weights.cpu().numpy())
    if run.drawn is not None:
        sites = [f"site_{axis}" for axis in range(len(run.model.shape))]
        variables["configurations"] = (["walker", *draws, *sites], run.drawn.cpu().numpy())
    return xarray.Dataset(variables, attrs=_attributes(run))


def _attributes(run: Any) -> dict[str, Any]:
    """Return what goes with the data of a run: strings and numbers."""
    found = {
        "model": repr(run.model),
        "beta": float(run.model.beta),
        **couplings_of(run.model),
        "seed": run.seed,
        "version": f"leaps_triton {__version__}",
    }
    if not run.weighted:
        found["thin"] = run.thin
        found["together"] = run.together
    if isinstance(run, Stored):
        found["manifest"] = json.dumps(run.manifest)
    return found


def to_pyerrors(run: Result, name: str, function: Function | None = None) -> Any:
    """Return an observable of a run as a pyerrors ``Obs``, to be combined with others there.

    Each walker of a chain is a replicum of the ensemble ``name of the model's class``, or the mean
    of those that the move correlates with one another (:attr:`Chain.together
    <leaps_triton.Chain.together>`); weighted walkers are one replicum of as many independent
    measurements, and the value is ``Σ w f / Σ w``. Functions of means are carried over with their
    gradients. Call ``gamma_method(S=1.5)`` for the error of
    :func:`~leaps_triton.estimators.chain_estimate`; for weighted walkers ``S=0``.

    Args:
        run: what :func:`leaps_triton.io.read` or :func:`leaps_triton.run_chain` returned.
        name: one of the observables that were measured.
        function: of the means ``(k,)``, which autograd can differentiate; None for the observable's
            own, or the mean.

    Raises:
        ValueError: If the observable was not measured, or has several values and no function.
        ImportError: If ``pyerrors`` is missing.

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
    expect(isinstance(run, Result), "run", "a run or a chain", run)
    expect(isinstance(name, str), "name", "that of a stored observable", name)
    wanted = "None or a function of means"
    expect(function is None or callable(function), "function", wanted, function)
    if name not in run.values:
        raise ValueError(
            f"observable must be one of {', '.join(run.values)}, got {name!r}"
            f"{nearest(name, run.values)}"
        )
    values = run.values[name].double().cpu()
    if function is None:
        function = function_of(run.measured[name])
    # One axis for walkers, and for chains one for draws; a further one for moments.
    scalar = values.ndim == (1 if run.weighted else 2)
    if scalar:
        values = values.unsqueeze(-1)
    elif function is None:
        raise ValueError(
            f"{name} has {values.shape[-1]} means; give function= to make one number of them"
        )
    of_means = _of_means(function, scalar)
    columns = list(values.unbind(-1))
    if run.weighted:
        return _of_weighted(run, columns, of_means)
    return _of_chain(run, name, columns, of_means)


def _of_means(function: Function | None, scalar: bool) -> Function:
    """Return the function of means ``(k,)``, also where there is but one and no function."""

    def of_means(means: Tensor) -> Tensor:
        kept = means[0] if scalar else means
        if function is None:
            return kept
        return function(kept)

    return of_means


def _of_chain(run: Any, name: str, columns: list[Tensor], of_means: Function) -> Any:
    """Return an observable of a chain, ``columns`` of ``(walkers, draws)``."""
    ensemble = _ensemble(run, (run.move, run.thin, run.burn_in, run.seed))
    together = run.together_of(name)
    primary = []
    for column in columns:
        # Walkers that are correlated with one another are one measurement.
        independent = column.unflatten(0, (-1, together)).mean(1)
        primary.append(_obs(independent, ensemble))
    return _derived(primary, of_means)


def _of_weighted(run: Any, columns: list[Tensor], of_means: Function) -> Any:
    """Return an observable of weighted walkers, ``columns`` of ``(walkers,)``."""
    ensemble = _ensemble(run, json.dumps(run.manifest, sort_keys=True))
    a = run.log_weights.double().cpu()
    share = torch.softmax(a, 0) * len(a)
    # The mean of shares is 1 but fluctuates, and the estimate is a ratio of two means.
    primary = [_obs(share.unsqueeze(0), ensemble)]
    for column in columns:
        primary.append(_obs((share * column).unsqueeze(0), ensemble))
    return _derived(primary, lambda means: of_means(means[1:] / means[0]))


def _ensemble(run: Result, about: object) -> str:
    """Return a name for the ensemble of a run.

    pyerrors takes observables of one ensemble and replica for one history, so that every run has a
    name of its own.
    """
    model = repr(run.model)
    of_run = hashlib.sha256(repr((run.model, about)).encode()).hexdigest()[:8]
    return f"{model.partition('(')[0]} beta {run.model.beta!r} run {of_run}"


def _obs(series: Tensor, ensemble: str) -> Any:
    """Return a primary observable of series ``(walkers, draws)``, all about one mean."""
    pyerrors = _optional("pyerrors", "pyerrors")
    mean = float(series.mean())
    names = [ensemble]
    if len(series) > 1:
        # What follows the bar is the replicum, to pyerrors.
        names = [f"{ensemble}|r{walker:06d}" for walker in range(len(series))]
    # Left to itself, pyerrors takes the mean of every replicum apart, which hides how far walkers
    # are from one another.
    centred = [(row - mean).numpy() for row in series]
    found = pyerrors.Obs(centred, names, means=[mean] * len(series))
    # With means given, pyerrors leaves the value at 0.
    found._value = mean
    return found


def _derived(primary: list[Any], function: Callable[[Tensor], Tensor]) -> Any:
    """Return a function of the means of primary observables, with its gradient."""
    point = torch.tensor([obs.value for obs in primary], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(point), point)

    def value(means: Any, **_: object) -> Any:
        return np.float64(function(torch.as_tensor(means)).detach().numpy())

    pyerrors = _optional("pyerrors", "pyerrors")
    # autograd's gradient: pyerrors cannot differentiate a function of tensors.
    return pyerrors.derived_observable(value, primary, man_grad=gradient.numpy())


def _optional(package: str, extra: str) -> Any:
    """Return a package that only this export needs; an ImportError that says how to install it."""
    try:
        with warnings.catch_warnings():
            # pyerrors imports scipy.odr for fits, which nothing here does.
            warnings.filterwarnings(
                "ignore", message="`scipy.odr` is deprecated", category=DeprecationWarning
            )
            return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"this needs the package {package.replace('_', '-')}; install it by pip install "
            f"'leaps_triton[{extra}]'"
        ) from error
