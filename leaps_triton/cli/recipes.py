"""Options of training that follow from one another: the optimiser, its data, the response."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import leaps_triton as lt

from ..io import checkpoint
from ..parallel import ALONE, Ranks
from .families import FamilyOptions
from .options import option

__all__ = [
    "RECIPES",
    "RecipeOptions",
    "Stored",
    "default_refresh",
    "intervals_of",
    "is_ferromagnet",
    "network_of",
    "recipe_of",
]


class Recipe(NamedTuple):
    """What an optimiser takes where nothing else is said."""

    steps: int
    learning_rate: float
    evaluate_every: int


RECIPES = {"adam": Recipe(1500, 2e-2, 500), "spring": Recipe(400, 0.15, 100)}
"""Optimiser → its recipe."""

_OF_DRIFTS = {"adam": Recipe(3000, 5e-3, 500), "spring": Recipe(600, 0.1, 100)}
"""Likewise for drifts of fields."""

_INTERVALS = (16, 40)
"""Intervals for a network of the symmetric kind on a response, and for another."""

_MAPS = 20
"""Intervals for a drift."""

_HELD_OUT = 256
"""Held-out samples at each time, where there can be any."""

_GATE = (0.3, 0.45)
"""Where on the path a network on a response begins to act, and where it is all there."""

_EXACT = 10
"""Shortest side of an Ising lattice up to which exact samples take seconds."""

_OF_CONFIG = (
    "refresh",
    "ema",
    "time_power",
    "time_density",
    "first_time",
    "momentum",
    "damping",
    "norm_cap",
    "row_power",
    "held_out",
    "curriculum",
)
"""Options that are settings of training, None for those of the recipe."""

_OF_SPRING = ("momentum", "damping", "norm_cap")
"""Those of them that have no effect with another optimiser."""


class Stored:
    """What a checkpoint that goes on says of what its user may leave out.

    Args:
        file: the checkpoint; None, or one that is not there, for a new training.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self.network: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        if file is not None and file.exists():
            manifest = checkpoint.read(file).manifest
            self.network = manifest.get("network") or {}
            training = manifest.get("training") or {}
            self.config = training.get("config") or {}

    @property
    def stands(self) -> bool:
        """Return whether the network stands on a linear response."""
        return "response" in self.network.get("settings", {})

    def response(self) -> Any:
        """Return the linear response that the network stands on; None for none."""
        if self._file is None or not self.stands:
            return None
        transport: Any = lt.load(self._file, "cpu").transport
        return transport.response


def is_ferromagnet(model: lt.PairModel) -> bool:
    """Return whether clusters of satisfied bonds move well: no bond is frustrated by another."""
    # Fields have clusters of their own, and no response.
    if model.dtype.is_floating_point:
        return False
    # At β = 0 there is nothing to train, and no response to fit.
    aligned = model.beta > 0.0 and bool((model.coupling >= 0).all())
    return bool(model.symmetry) and aligned


def network_of(model: lt.PairModel, stored: Stored) -> str:
    """Return the network where none is named: that of the file, or what suits the model."""
    if stored.network:
        named: str = stored.network["class"]
        return named
    if model.dtype.is_floating_point:
        return "hollow-drift"
    if not model.lattice.hypercubic:
        return "lem"
    if is_ferromagnet(model):
        return "symmetric-conv"
    return "hollow-conv"


def is_drift(network: Any) -> bool:
    """Return whether a network is a drift of fields."""
    return isinstance(network, lt.networks.Drift)


def intervals_of(network: Any) -> int:
    """Return the intervals of the jump process where none are named."""
    if is_drift(network):
        return _MAPS
    few, many = _INTERVALS
    if isinstance(network, lt.SymmetricConv):
        return few
    return many


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(FamilyOptions):
    """How a network is trained, and on what."""

    optimizer: Literal["adam", "spring"] | None = None
    """adam, or spring: Gauss-Newton steps in the space of samples; by default spring for
    symmetric-conv on ferromagnets and for drifts, else adam."""
    refresh: (
        Literal["rollout", "swendsen_wang", "heat_bath", "tempering", "exact", "hmc"] | None
    ) = None
    """Where configurations come from; by default rollouts with adam, and with spring samples of
    equilibrium: swendsen_wang for ferromagnets, exact or tempering for others. Always hmc for
    fields."""
    response: Literal["auto", "yes", "no"] = "auto"
    """Whether the network stands on a linear response that is fitted first; by default
    symmetric-conv does, and yes makes any network do so."""
    gate: tuple[float, float] | None = None
    """Shares of the last β between which a network on a response begins to act; by default 0.3 and
    0.45."""
    ema: float | None = None
    """Decay per step of the parameters' moving average, which the sampler gets, such as 0.999; 0
    for none. By default 0.98 with spring, 0 with adam."""
    time_power: float | None = None
    """Training times are first + (1 - first) u^power, u uniform; by default 0.4 with spring, 1 with
    adam."""
    time_density: float | None = None
    """Of the times, three quarters follow the variance measured on held-out samples to this power;
    none by default. 0.5 where the transition lies within the path."""
    first_time: float | None = None
    """The earliest time trained; by default where the gate begins to open, or 0."""
    momentum: float | None = None
    """Of spring; 0.9 by default."""
    damping: float | None = None
    """Of spring, in units of the mean diagonal; 0.01 by default."""
    norm_cap: float | None = None
    """Of spring: the largest square of the length of a step; none by default."""
    row_power: float | None = None
    """Residuals at t are scaled by their variance there to minus half this power; 0 by default."""
    held_out: int | None = None
    """Held-out samples at each time, which tell the variance of residuals; 256 by default, none
    with rollouts."""
    curriculum: float | None = None
    """Share of the steps in which the largest time trained rises from 0.5 to 1; 0 by default."""
    tensorboard: Path | None = None
    """Folder for curves that TensorBoard shows."""

    def optimizer_of(self, stored: Stored, sampler: lt.Sampler) -> str:
        """Return the optimiser: the one that was named, that of the file, or what suits best.

        Args:
            stored: the file that goes on.
            sampler: what is trained.
        """
        if self.optimizer is not None:
            return self.optimizer
        if stored.config:
            # Files of earlier versions do not say, and were trained by Adam.
            named: str = stored.config.get("optimizer", "adam")
            return named
        if is_drift(sampler.transport):
            return "spring"
        symmetric = isinstance(sampler.transport, lt.SymmetricConv)
        if symmetric and (self.several or is_ferromagnet(sampler.path.model)):
            return "spring"
        return "adam"

    def recipe(
        self, sampler: lt.Sampler, optimizer: str, stored: Stored, **settings: Any
    ) -> lt.TrainingConfig:
        """Return the settings of training.

        Args:
            sampler: what is trained; its network need not stand on its response yet.
            optimizer: of :meth:`optimizer_of`.
            stored: the file that goes on.
            settings: all that do not follow from these options.

        Raises:
            ValueError: If an option is of another optimiser, or of a network on a response.
        """
        gate = self._gate_of(sampler.transport, stored)
        given = dict(settings)
        for name in _OF_CONFIG:
            value = getattr(self, name)
            # Not given: the default of the recipe counts.
            if value is None:
                continue
            if name in _OF_SPRING and optimizer != "spring":
                raise ValueError(
                    f"{option(name)} is of --optimizer spring alone; leave it out, or choose it"
                )
            given[name] = value
        given.setdefault("refresh", default_refresh(sampler.path.model, optimizer))
        if given["refresh"] == "rollout":
            given.setdefault("held_out", 0)
        else:
            given.setdefault("held_out", _HELD_OUT)
        if gate is not None:
            # Nothing is learned where the gate is closed.
            given.setdefault("first_time", gate[0])
        if optimizer == "spring" and is_drift(sampler.transport):
            return lt.TrainingConfig.drift(**given)
        if optimizer == "spring":
            return lt.TrainingConfig.spring(**given)
        return lt.TrainingConfig(**given)

    def stand(
        self,
        network: Any,
        model: lt.PairModel,
        stored: Stored,
        ranks: Ranks = ALONE,
        **fit: Any,
    ) -> None:
        """Put a network on a linear response, where it is to stand on one.

        Args:
            network: what is to be trained.
            model: its model.
            stored: the file that goes on, which has the response already.
            ranks: the processes, of which the first fits for all.
            fit: seed and device of the samples that a new one is fitted to.
        """
        if not self._stands(network, stored):
            return
        response = stored.response()
        if response is None:
            refresh = default_refresh(model, "spring")
            if self.refresh not in (None, "rollout"):
                refresh = str(self.refresh)
            path = lt.AnnealingPath(model)

            def fitted() -> Any:
                made = lt.training.fit_response(path, refresh, progress=True, **fit)
                # Another process has no use for this one's device.
                return made.cpu()

            # Processes that fitted by themselves might differ in the last bits.
            response = ranks.from_first(fitted)
        network.stand_on(response, self._gate_of(network, stored))

    def _stands(self, network: Any, stored: Stored) -> bool:
        """Return whether the network is to stand on a linear response."""
        if self.response != "auto":
            return self.response == "yes"
        if stored.network:
            return stored.stands
        if self.several:
            # A response is of one model.
            return False
        return isinstance(network, lt.SymmetricConv)

    def _gate_of(self, network: Any, stored: Stored) -> tuple[float, float] | None:
        """Return the gate of the network on its response; None for none, or for no response."""
        if not self._stands(network, stored):
            if self.gate is not None:
                raise ValueError(
                    "--gate is of a network on a response alone; leave it out, or choose "
                    "--response yes"
                )
            return None
        if self.gate is not None:
            return lt.networks.as_gate(self.gate)
        if stored.stands:
            return lt.networks.as_gate(stored.network["settings"]["gate"])
        return _GATE


def recipe_of(optimizer: str, model: Any) -> Recipe:
    """Return what an optimiser takes where nothing else is said, for a model."""
    if model.dtype.is_floating_point:
        return _OF_DRIFTS[optimizer]
    return RECIPES[optimizer]


def default_refresh(model: lt.PairModel, optimizer: str) -> str:
    """Return where configurations come from, for an optimiser and a model."""
    if model.dtype.is_floating_point:
        return "hmc"
    if optimizer != "spring":
        return "rollout"
    if is_ferromagnet(model):
        return "swendsen_wang"
    if model.q == 2 and min(model.lattice.shape) <= _EXACT:
        return "exact"
    return "tempering"
