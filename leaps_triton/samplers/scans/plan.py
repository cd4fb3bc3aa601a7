"""How a scan is run: chains with replicas, or annealed walkers that pass all temperatures."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from ...integrators.jump import Jump
from ...kernels.checks import as_number, expect
from ...mcmc.base import Move
from ...mcmc.compose import default_move
from ...mcmc.march import run_chain
from ...mcmc.tempering import ParallelTempering
from ...models.base import EnergyModel, Target
from ...models.energy_only import complete
from ...models.varied import (
    BETA,
    check_coupling,
    couplings_of,
    model_with,
    names_couplings,
    one_coupling,
)
from ...observables.base import OBSERVABLES
from ...observables.fields import chosen_for, conjugate_of
from ...observables.replicas import suffix_of
from ...paths.annealing import AnnealingPath
from ..along import through
from ..sampler import Sampler
from .result import Scan

__all__ = ["METHODS", "Plan", "scan"]


METHODS = ("chains", "tempering", "annealing")
"""How the temperatures of a scan are sampled."""

_CHAINS = {"walkers": 64, "sweeps": 1000, "thin": 1, "burn_in": None}
"""What chains and tempering take unless told."""

_ANNEALING = {"walkers": 4096, "intervals": 100}
"""What annealing takes unless told."""


class Plan(NamedTuple):
    """A scan that is ready to run: a sampler with stops, or a chain with replicas."""

    sampler: Sampler | None
    """Anneals the walkers; None for chains"""
    options: dict[str, Any]
    """Arguments of :meth:`leaps_triton.Sampler.sample`, or of :func:`leaps_triton.run_chain`"""

    @classmethod
    def of(
        cls,
        model: Target | EnergyModel,
        betas: Sequence[float] | None,
        method: str,
        move: Move | None,
        sampler: Sampler | None,
        observables: Sequence[str],
        seed: int,
        device: torch.device | str | None,
        couplings: Mapping[str, Sequence[float] | None] | None = None,
        **options: int | str | None,
    ) -> "Plan":
        """Return the plan of a scan; the arguments are those of :func:`scan`."""
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        whole = complete(model)
        name, rising = _what(whole, betas, couplings or {})
        if name != BETA and method == "annealing":
            raise ValueError(
                f"annealed walkers pass no values of {name} alone; take method='chains' or "
                f"'tempering', or a Sampler for each value"
            )
        target = model_with(whole, name, rising[-1])
        names = _with_energy(chosen_for(whole, observables))
        if name != BETA:
            # log Z is found from what the coupling multiplies.
            names = list(dict.fromkeys([*names, conjugate_of(whole, name)]))
        chosen = _chosen(method, options)
        if method != "annealing":
            expect(sampler is None, "sampler", "None but with method='annealing'", sampler)
            # Whoever runs the chains settles a move that was not named: a file keeps its own.
            ladder: dict[str, Any] = {name: rising}
            if name == BETA:
                ladder = {"betas": rising}
            replicas = ParallelTempering(move=move, exchange=method == "tempering", **ladder)
            measured = [each + suffix_of(name) for each in names]
            chains = {"model": target, "move": replicas, "observables": measured}
            return cls(None, {**chains, **chosen, "seed": seed, "device": device})
        intervals = chosen.pop("intervals")
        if sampler is None:
            path = AnnealingPath(target)
            jump = Jump(through(path, rising, intervals))
            if move is None:
                move = default_move(target)
            sampler = Sampler(path, None, jump, move, device=device)
        else:
            sampler = _through(sampler, rising, intervals, move)
        walk = {"along": rising, "observables": names, "seed": seed}
        return cls(sampler, {**walk, **chosen})


def _what(
    model: Any, betas: object, couplings: Mapping[str, Sequence[float] | None]
) -> tuple[str, list[float]]:
    """Return the parameter of a scan and its values, rising; a ValueError unless there is one."""
    given = one_coupling(**couplings)
    known = couplings_of(model)
    if given is None:
        if known:
            names = ", ".join(known)
            raise ValueError(
                f"{type(model).__name__} has no temperature to be scanned, its beta is 1; scan a "
                f"coupling, {names}, such as quartic=[…]"
            )
        return BETA, _as_betas(betas)
    name, values = given
    if betas is not None:
        raise ValueError(f"a scan is of betas or of {name}, got both; leave one out")
    check_coupling(model, name)
    return name, _as_distinct(name, "two numbers or more, no two alike", values)


def _as_betas(betas: object) -> list[float]:
    """Return inverse temperatures in rising order; a ValueError unless they are distinct."""
    wanted = "two inverse temperatures or more, no two alike, none below 0"
    rising = _as_distinct("betas", wanted, betas)
    expect(rising[0] >= 0.0, "betas", wanted, betas)
    return rising


def _as_distinct(name: str, wanted: str, values: object) -> list[float]:
    """Return at least two distinct numbers in rising order."""
    # A string would be read as its letters.
    listed = isinstance(values, Sequence | torch.Tensor | np.ndarray)
    expect(listed, name, wanted, values)
    assert isinstance(values, Sequence | torch.Tensor | np.ndarray)
    rising = sorted(as_number(name, value, "finite numbers", math.isfinite) for value in values)
    distinct = all(a < b for a, b in itertools.pairwise(rising))
    expect(len(rising) > 1 and distinct, name, wanted, values)
    return rising


def _with_energy(observables: Sequence[str]) -> list[str]:
    """Return names of observables with the energy, which log Z is found from."""
    listed = isinstance(observables, Sequence) and not isinstance(observables, str)
    wanted = "names in leaps_triton.observables such as ['energy']"
    for name in observables if listed else [observables]:
        expect(listed and isinstance(name, str), "observables", wanted, name)
    return list(dict.fromkeys(["energy", *observables]))


def _chosen(method: str, options: dict[str, int | str | None]) -> dict[str, Any]:
    """Return the options of a method, its own defaults where none is given."""
    defaults = _ANNEALING if method == "annealing" else _CHAINS
    for name, value in options.items():
        if value is not None and name not in defaults:
            raise ValueError(
                f"{name} is no option of method={method!r}, which takes {', '.join(defaults)}; "
                f"leave it out"
            )
    found: dict[str, Any] = dict(defaults)
    for name in defaults:
        if options[name] is not None:
            found[name] = options[name]
    return found


def _through(
    sampler: Sampler, betas: Sequence[float], intervals: int, move: Move | None
) -> Sampler:
    """Return a sampler of a user's own with times at which its walkers have these β."""
    expect(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    expect(move is None, "move", "None beside a sampler, which has its own", move)
    own = float(sampler.path.model.beta)
    if not math.isclose(betas[-1], own, rel_tol=1e-9):
        raise ValueError(
            f"betas must end at the sampler's own beta = {own:g}, where its path ends, got "
            f"{betas[-1]:g}"
        )
    path = sampler.path
    expect(isinstance(path, AnnealingPath), "sampler", "one along an AnnealingPath", path)
    assert isinstance(path, AnnealingPath)
    integrator = sampler.integrator
    # Where walkers are weighed between two intervals, and not in the middle of one.
    edges = torch.equal(integrator.boundary_times, integrator.times[:-1])
    times = through(path, betas, intervals, edges)
    return sampler.with_integrator(integrator.with_times(times))


@names_couplings
def scan(
    model: Target | EnergyModel,
    betas: Sequence[float] | None = None,
    method: str = "chains",
    move: Move | None = None,
    walkers: int | None = None,
    sweeps: int | None = None,
    thin: int | None = None,
    burn_in: int | Literal["auto"] | None = None,
    intervals: int | None = None,
    sampler: Sampler | None = None,
    observables: Sequence[str] = OBSERVABLES,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: bool = False,
    mass_squared: Sequence[float] | None = None,
    quartic: Sequence[float] | None = None,
) -> Scan:
    """Return a model at several inverse temperatures: observables and log Z with errors at each.

    A field, whose β is 1, is scanned in one of its couplings instead, by chains or tempering.

    - ``"chains"``: independent Markov chains at every β, all moved together. log Z is by the
      multi-histogram equations, so that energies of neighbours must overlap.
    - ``"tempering"``: chains that neighbours exchange (parallel tempering), for rugged landscapes.
      log Z likewise.
    - ``"annealing"``: weighted walkers that pass every β on their way from β = 0, by classical
      moves or a trained sampler. log Z is absolute, from the weights.

    :func:`leaps_triton.io.scan` writes it into a file, and goes on with it.

    Args:
        model: any; its own β is not looked at.
        betas: inverse temperatures, at least two, in any order.
        method: how they are sampled.
        move: moves the walkers, of chains and on the way of annealing; None for
            :func:`~leaps_triton.default_move` of the model.
        walkers: chains at every β, 64 unless told; or annealed walkers, 4096.
        sweeps: steps of the move after the burn-in, 1000 unless told.
        thin: steps from one draw to the next, 1 unless told.
        burn_in: steps before, not measured; None for a tenth of ``sweeps``, "auto" to find where
            the chains may begin, the same as in :func:`leaps_triton.run_chain`.
        intervals: of annealing, 100 unless told; there are a few more, so that every β is hit.
        sampler: anneals the walkers, in the place of classical moves; its path ends at the largest
            β, and its times are made anew.
        observables: names in :mod:`leaps_triton.observables`; the energy is always among them.
        seed: in [0, 2³²).
        device: None for CUDA where there is a CUDA device, else the CPU.
        progress: show a progress bar on a terminal.
        mass_squared: of a field, instead of inverse temperatures, values of this coupling, at least
            two, in any order; what the model itself has of it is not looked at.
        quartic: likewise of this one.

    Raises:
        ValueError: a bad argument, or one that the method does not take; a coupling that the model
            has not, or inverse temperatures of a field.
        TypeError: a keyword that is none of these, such as another name of a coupling.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((4, 4), beta=0.4)
        >>> found = lt.scan(model, [0.0, 0.2, 0.4], sweeps=200, device="cpu")
        >>> log_z = found.log_z[-1]
        >>> abs(log_z.pull(lt.exact.log_z(model))) < 4, found.names[0]
        (True, 'energy')
    """
    plan = Plan.of(
        model,
        betas,
        method,
        move,
        sampler,
        observables,
        seed,
        device,
        walkers=walkers,
        sweeps=sweeps,
        thin=thin,
        burn_in=burn_in,
        intervals=intervals,
        couplings={"mass_squared": mass_squared, "quartic": quartic},
    )
    if plan.sampler is not None:
        return Scan(plan.sampler.sample(**plan.options, progress=progress))
    return Scan(run_chain(**plan.options, progress=progress))
