"""Markov chain Monte Carlo alone: walkers at the model's β, measured as they move."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor
from tqdm import tqdm

from .. import observables as _observables
from ..estimators.autocorrelation import ChainEstimate, chain_estimate
from ..kernels.checks import as_device, as_integer, as_seed, expect, shown
from ..models.base import EnergyModel, Model
from ..observables.base import OBSERVABLES
from ..observables.shared import share
from ..paths.annealing import AnnealingPath
from .base import Kernel, expect_kernel

__all__ = ["OBSERVABLES", "Chain", "March", "run_chain"]


Measurable: TypeAlias = Callable[..., Tensor]

"""An observable of configurations, of pairs of walkers or of replicas."""


@dataclass(frozen=True)
class Chain:
    """What was measured on the way, and where the walkers are.

    Attributes:
        model: the target.
        kernel: what the walkers were moved by.
        values: name → float64 ``(walkers, draws)`` or ``(walkers, draws, k)``, on the CPU; of
            observables that compare pairs of walkers, such as the overlap, ``(walkers / 2, …)``.
        measured: name → the observable itself.
        state: of the kernel after the last draw; of parallel tempering with ``replicas``, and
            ``arrivals`` of them at the target in ``exchanges`` rounds, burn-in included.
        kept: configurations of every draw ``(walkers, draws, *shape)`` on the CPU, or None if they
            were not kept.
        sweeps, burn_in, thin, seed: as given.
    """

    model: Model = field(repr=False)
    kernel: Kernel
    values: Mapping[str, Tensor] = field(repr=False)
    measured: Mapping[str, Measurable] = field(repr=False)
    state: Any = field(repr=False)
    kept: Tensor | None = field(repr=False)
    sweeps: int
    burn_in: int
    thin: int
    seed: int

    @property
    def configurations(self) -> Tensor:
        """The last ones, ``(walkers, *shape)``; ``start=`` of another run goes on from here."""
        found: Tensor = self.state.configurations
        return found

    @property
    def walkers(self) -> int:
        """Their number."""
        return len(self.configurations)

    @property
    def draws(self) -> int:
        """Measurements a walker."""
        return self.sweeps // self.thin

    @property
    def functions(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """Name → function of means, for observables that have one."""
        return {name: f.function for name, f in self.measured.items() if hasattr(f, "function")}

    @property
    def together(self) -> int:
        """How many consecutive walkers the kernel correlates with one another: 2 with Houdayer's
        move, else 1.
        """
        return int(getattr(self.kernel, "together", 1))

    def together_of(self, name: str) -> int:
        """How many consecutive rows of ``values[name]`` are correlated: ``together``, or the pairs
        that makes.
        """
        return _together(self.measured[name], self.together)

    def estimate(
        self, observable: Measurable | str, function: Callable[[Tensor], Tensor] | None = None
    ) -> ChainEstimate:
        """Mean of an observable, or a function of its means, with error and autocorrelation time by
        the Γ-method.

        The time is in draws: multiply by ``thin`` for steps of the kernel. Walkers that the kernel
        correlates with one another (``together``) count as one chain.

        Args:
            observable: one that was measured, the same function or its name; any other function
                where the configurations were kept.
            function: of the means ``(k,)``; None for the one the observable carries, or the plain
                mean.

        Raises:
            ValueError: an observable that was not measured; as
                :func:`~leaps_triton.estimators.chain_estimate`.

        Warns:
            ShortChainWarning: fewer than 50 autocorrelation times a walker.
        """
        known = isinstance(observable, str) or callable(observable)
        expect(
            known, "observable", "a function of configurations and model, or its name", observable
        )
        # Another function may have the name of one that was measured.
        names = [n for n, f in self.measured.items() if n == observable or f == observable]
        if names:
            name = names[0]
            own = self.functions.get(name) if function is None else function
            return chain_estimate(self.values[name], own, together=self.together_of(name))
        name = observable if isinstance(observable, str) else _name(observable)
        if self.kept is None or isinstance(observable, str) or _of_replicas(observable):
            measured = f"only {', '.join(self.measured) or 'nothing'}"
            if name in self.measured:
                measured = "but another function of that name; ask for that by its name"
            raise ValueError(
                f"{name} was not measured, {measured}; give it to run_chain as one of observables=, or "
                f"keep_configurations=True"
            )
        if _of_pairs(observable):
            _check_pairs(name, self.walkers)
            flat = observable(
                self.kept[::2].flatten(0, 1), self.kept[1::2].flatten(0, 1), self.model
            )
        else:
            flat = observable(self.kept.flatten(0, 1), self.model)
        rows = self.walkers // (1 + _of_pairs(observable))
        _check_value(name, flat, rows * self.draws)
        values = flat.double().view(rows, self.draws, *flat.shape[1:])
        own = getattr(observable, "function", None) if function is None else function
        return chain_estimate(values, own, together=_together(observable, self.together))


def run_chain(
    model: EnergyModel,
    kernel: Kernel,
    walkers: int,
    sweeps: int,
    thin: int = 1,
    seed: int = 0,
    burn_in: int | None = None,
    observables: Sequence[Measurable | str] | Mapping[str, Measurable] = OBSERVABLES,
    start: Tensor | None = None,
    device: torch.device | str | None = None,
    progress: bool = False,
    keep_configurations: bool = False,
) -> Chain:
    """Markov chains at the model's β, measured on the device every ``thin`` steps.

    They are independent, but for the pairs of :class:`~leaps_triton.Houdayer`'s move, which
    estimates count as one chain each. Into a file: :func:`leaps_triton.io.run_chain`.

    Args:
        model: any :class:`~leaps_triton.models.EnergyModel`.
        kernel: an invariant kernel such as :class:`~leaps_triton.HeatBath`.
        walkers: number of chains; even with :class:`~leaps_triton.Houdayer`.
        sweeps: steps of the kernel after the burn-in; each may be several sweeps.
        thin: steps from one measurement to the next; the first comes after ``thin`` of them.
        seed: in [0, 2³²). Runs that are to be independent need different seeds: equal ones share
            their random numbers, at another β or size too.
        burn_in: steps before, not measured; None for a tenth of ``sweeps``. The chains cannot tell
            whether it was enough: compare halves, or starts.
        observables: functions, names in :mod:`leaps_triton.observables`, or a mapping from names of
            your own. Those of pairs, such as ``"overlap"``, compare walkers 0 and 1, 2 and 3, and
            so on; of :class:`~leaps_triton.ParallelTempering` there is ``"replica_energies"``.
        start: configurations ``(walkers, *shape)``; None for independent uniform ones.
        device: None for CUDA where there is a CUDA device, else the CPU.
        progress: show a progress bar on a terminal.
        keep_configurations: keep those of every draw too, on the host: N bytes a draw and walker,
            copied each time.

    Raises:
        ValueError: a bad argument.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((8, 8), beta=0.3)
        >>> chain = lt.run_chain(model, lt.HeatBath(), walkers=16, sweeps=500, seed=1, device="cpu")
        >>> energy = chain.estimate("energy")
        >>> abs(energy.pull(lt.exact.ising_energy((8, 8), beta=0.3))) < 3, energy.draws
        (True, 8000)
    """
    expect(isinstance(progress, bool), "progress", "a bool", progress)
    expect(
        isinstance(keep_configurations, bool), "keep_configurations", "a bool", keep_configurations
    )
    march = March(model, kernel, walkers, sweeps, thin, seed, burn_in, observables, start, device)
    with march.bar(progress) as bar:
        values, kept = march.draw(march.draws, keep_configurations, bar.update)
    return march.chain(values, kept)


class March:
    """Markov chains on their way, from the arguments of :func:`run_chain`: ``draw`` after ``draw``.

    Attributes:
        state: of the kernel; whoever sets it and ``drawn`` to those of an earlier march goes on
            with that one.
        drawn: draws so far.
    """

    def __init__(
        self,
        model: EnergyModel,
        kernel: Kernel,
        walkers: int,
        sweeps: int,
        thin: int = 1,
        seed: int = 0,
        burn_in: int | None = None,
        observables: Sequence[Measurable | str] | Mapping[str, Measurable] = OBSERVABLES,
        start: Tensor | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        walkers, sweeps = as_integer("walkers", walkers, 1), as_integer("sweeps", sweeps, 1)
        thin, seed = as_integer("thin", thin, 1), as_seed(seed)
        if sweeps < thin:
            raise ValueError(
                f"sweeps must be at least thin, or nothing is measured, got {sweeps} and {thin}"
            )
        self.burn_in = (
            math.ceil(sweeps / 10) if burn_in is None else as_integer("burn_in", burn_in, 0)
        )
        self.walkers, self.draws, self.thin, self.seed = walkers, sweeps // thin, thin, seed
        self.measured = _named(observables)
        expect_kernel("kernel", kernel)
        together = as_integer("kernel.together", getattr(kernel, "together", 1), 1)
        if walkers % together:
            raise ValueError(
                f"{type(kernel).__name__} moves {together} walkers together, so that their number must be a multiple "
                f"of it, got {walkers}"
            )
        self.kernel, self.path = kernel, AnnealingPath(model)
        self.model = self.path.model
        self.device = as_device(device)
        indices = torch.arange(walkers, device=self.device)
        self.state: Any = kernel.init(_start(self.model, start, self.path, indices, seed), indices)
        self.drawn = 0
        self._shared: Model | None = None
        for name, observable in self.measured.items():
            if _of_pairs(observable):
                _check_pairs(name, walkers)
            if _of_replicas(observable) and not hasattr(self.state, "replicas"):
                raise ValueError(
                    f"observable {name} is one of ParallelTempering, got {type(kernel).__name__}; leave it out"
                )

    def bar(self, progress: bool) -> "tqdm[Any]":
        """A progress bar of all steps, on a terminal."""
        total = self.burn_in + self.draws * self.thin
        return tqdm(
            total=total,
            initial=self.steps,
            desc="chains",
            unit="step",
            disable=None if progress else True,
        )

    @property
    def steps(self) -> int:
        """Steps of the kernel so far."""
        return self.burn_in + self.drawn * self.thin if self.drawn else 0

    @torch.no_grad()
    def draw(
        self, count: int, keep: bool = False, update: Callable[[], object] = lambda: None
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """The next draws, after the burn-in if they are the first: values by name and
        configurations, on the CPU.

        Args:
            count: draws, at least 1.
            keep: keep the configurations.
            update: called after every step.
        """
        values: dict[str, Tensor] = {}
        kept = None
        if keep:
            kept = torch.empty(
                self.walkers, count, *self.model.lattice.shape, dtype=self.model.dtype
            )
        for draw in range(count):
            for _ in range(self.thin if self.drawn else self.burn_in + self.thin):
                self.state, _ = self.kernel.step(self.state, self.path, 1.0, self.seed)
                update()
            self._shared = share(self.state.configurations, self.model, self._shared)
            version = self.state.configurations._version
            for name, observable in self.measured.items():
                value = _measure(observable, self.state, self._shared)
                if self.state.configurations._version != version:
                    raise ValueError(
                        f"the observable {name} changed the configurations, which are the chain's own; copy them"
                    )
                if name not in values:
                    rows = self.walkers // (1 + _of_pairs(observable))
                    _check_value(name, value, rows)
                    shape = (rows, count, *value.shape[1:])
                    values[name] = torch.empty(shape, dtype=torch.float64, device=self.device)
                values[name][:, draw] = value
            if kept is not None:
                kept[:, draw] = self.state.configurations.cpu()
            self.drawn += 1
        return {name: value.cpu() for name, value in values.items()}, kept

    def measure(self, name: str) -> Tensor:
        """One of the observables of the walkers as they are."""
        return _measure(self.measured[name], self.state, self.model)

    def chain(self, values: Mapping[str, Tensor], kept: Tensor | None) -> Chain:
        """What was drawn, as a :class:`Chain`."""
        return Chain(
            model=self.model,
            kernel=self.kernel,
            values=values,
            measured=self.measured,
            state=self.state,
            kept=kept,
            sweeps=self.drawn * self.thin,
            burn_in=self.burn_in,
            thin=self.thin,
            seed=self.seed,
        )


def _name(observable: Measurable) -> str:
    return str(getattr(observable, "__name__", type(observable).__name__))


def _named(observables: Sequence[Measurable | str] | Mapping[str, Measurable]) -> dict[str, Any]:
    listed = isinstance(observables, Mapping | Sequence) and not isinstance(
        observables, str | bytes
    )
    expect(
        listed,
        "observables",
        "a list of functions and names, or a mapping from names to functions",
        observables,
    )
    if isinstance(observables, Mapping):
        named_by_hand = all(
            isinstance(name, str) and callable(f) for name, f in observables.items()
        )
        expect(named_by_hand, "observables", "a mapping from names to functions", observables)
        return dict(observables)
    named: dict[str, Any] = {}
    for given in observables:
        name = given if isinstance(given, str) else _name(given)
        if name == "<lambda>":
            raise ValueError(
                "observables must have names, and a lambda has none; give {'name': lambda x, model: …}"
            )
        if name in named:
            raise ValueError(
                f"two observables are called {name}; give a mapping from names to observables"
            )
        measurable = _observables.MEASURABLE + _observables.OF_CHAINS
        known = given in measurable if isinstance(given, str) else callable(given)
        expect(known, "observable", f"one of {', '.join(measurable)}, or a function", given)
        named[name] = getattr(_observables, given) if isinstance(given, str) else given
    return named


def _of_pairs(observable: Measurable) -> bool:
    return getattr(observable, "pairs", False) is True


def _of_replicas(observable: Measurable) -> bool:
    return getattr(observable, "replicas", False) is True


def _measure(observable: Measurable, state: Any, model: Model) -> Tensor:
    if _of_pairs(observable):
        return observable(state.configurations[::2], state.configurations[1::2], model)
    return observable(state.replicas if _of_replicas(observable) else state.configurations, model)


def _together(observable: Measurable, walkers: int) -> int:
    return math.lcm(walkers, 2) // 2 if _of_pairs(observable) else walkers


def _check_pairs(name: str, walkers: int) -> None:
    if walkers % 2:
        raise ValueError(
            f"observable {name} compares walkers two by two, so their number must be even, got {walkers}"
        )


def _start(
    model: Model, start: Tensor | None, path: AnnealingPath, indices: Tensor, seed: int
) -> Tensor:
    if start is None:
        return path.start.sample(indices, seed)
    expected = (len(indices), *model.lattice.shape)
    if not isinstance(start, Tensor) or start.dtype != model.dtype or start.shape != expected:
        got = (
            (start.dtype, tuple(start.shape)) if isinstance(start, Tensor) else type(start).__name__
        )
        raise ValueError(f"start must be {model.dtype} of shape {expected}, got {got}")
    model.energy(start)
    return start.to(indices.device)


def _check_value(name: str, value: Tensor, walkers: int) -> None:
    real = isinstance(value, Tensor) and not value.is_complex()
    if not real or value.ndim not in (1, 2) or len(value) != walkers:
        raise ValueError(
            f"the observable {name} must return ({walkers},) or ({walkers}, k), got {shown(value)}"
        )
