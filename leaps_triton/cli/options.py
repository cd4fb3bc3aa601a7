"""Options of the model, which most commands have, and how the command line spells names."""

import dataclasses
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from torch import Tensor

import leaps_triton as lt

from .. import registry
from ..kernels.checks import nearest
from .targets.densities import DENSITIES, is_density, make_density
from .targets.graphs import GRAPHS, as_graph

__all__ = [
    "ModelOptions",
    "choices",
    "choose",
    "config",
    "is_field",
    "kernel_size",
    "option",
    "spelled",
    "with_check",
]


_SHORT = {"phi4": "PhiFour"}
"""Shorter words for classes."""

_SHAPE = (8, 8)
"""Lengths of the lattice, unless told."""

_BETA = 0.4407
"""Inverse temperature of models that have one, unless told."""

_COUPLINGS = ("mass_squared", "quartic")
"""Options of fields alone."""


def spelled(name: str) -> str:
    """Return the name of a class as the command line spells it.

    Example:
        >>> spelled("HeatBath"), spelled("LETransformer"), spelled("LEM")
        ('heat-bath', 'le-transformer', 'lem')
    """
    # A new word begins at a capital after a small letter, and at the last one of several capitals
    # that a small letter follows.
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def option(name: str) -> str:
    """Return the option of a name in Python."""
    return f"--{name.replace('_', '-')}"


def choices(names: list[str]) -> str:
    """Return names of classes as the command line spells them, in one line."""
    short = {name: word for word, name in _SHORT.items()}
    return ", ".join(sorted(short.get(name, spelled(name)) for name in names))


def choose(kind: str, word: str, names: list[str]) -> str:
    """Return the name that a word spells; a ValueError if none does."""
    for name in names:
        if word in (name, spelled(name)) or _SHORT.get(word) == name:
            return name
    near = nearest(word, [spelled(name) for name in names])
    raise ValueError(f"there is no {kind} {word!r}; choose from {choices(names)}{near}")


def makeable() -> list[str]:
    """Return the names of registered models that options can describe."""
    known = {"shape", "beta", "q", *_COUPLINGS}
    found = []
    for name, maker in registry.things("model").items():
        parameters = inspect.signature(maker).parameters.values()
        needed = {each.name for each in parameters if each.default is each.empty}
        has_lattice = "shape" in {each.name for each in parameters}
        # A required argument without an option would leave a model nobody can make, and options
        # describe lattices, not densities.
        if has_lattice and needed <= known:
            found.append(name)
    return found


_OF_SPINS = (
    "graph",
    "q",
    "coupling",
    "couplings",
    "first_site",
    "coupling_scale",
    "disorder",
    "disorder_seed",
    "field",
    "open_boundaries",
)
"""Options that fields have not."""


def model_names() -> list[str]:
    """Return the names of lattice models that options can describe, and of densities."""
    return [*makeable(), *DENSITIES]


def is_field(word: str) -> bool:
    """Return whether a word names a model of fields, which has couplings and no temperature."""
    if is_density(word):
        return False
    maker = registry.find("model", choose("model", word, model_names()))
    return "quartic" in inspect.signature(maker).parameters


def with_check(model: Any, observables: tuple[str, ...]) -> tuple[str, ...]:
    """Return observables, of a field with the identity that checks the sampling.

    Args:
        model: the target.
        observables: names that were asked for, or the default of all models.
    """
    check = "schwinger_dyson"
    if observables == lt.io.OBSERVABLES or not model.dtype.is_floating_point:
        return observables
    if check in observables:
        return observables
    return (*observables, check)


_DRAWN = {"coupling": "coupling", "disorder": "disorder", "disorder_seed": "seed"}
"""Options that say what the couplings are without a file, and arguments of the model by them."""


_MODELS = f"Lattice model: {choices(makeable())}; or a density: {', '.join(DENSITIES)}."


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A lattice model, or a density by its name."""

    model: Annotated[str, tyro.conf.arg(help=_MODELS)] = "ising"
    """Lattice model, or density."""
    shape: tuple[int, ...] = _SHAPE
    """Length of the lattice in each of one to four directions."""
    graph: Annotated[str | None, tyro.conf.arg(help=f"In place of --shape: {GRAPHS}, or FILE.")] = (
        None
    )
    """Graph in place of a lattice: a name with lengths, or a file of lines `i j J`."""
    beta: float | None = None
    """Inverse temperature; 0.4407 by default. phi4 has none: its couplings hold it."""
    mass_squared: float | None = None
    """Mass squared m² of phi4, as lt.PhiFour has it: S = Σ [-2 Σ φφ' + (2d + m²) φ² + λ φ⁴]."""
    quartic: float | None = None
    """Quartic coupling λ of phi4, in that S; lt.PhiFour.from_continuum leads there from others."""
    q: int | None = None
    """Number of states of potts and clock."""
    coupling: tuple[float, ...] = ()
    """Coupling of ising, potts and clock: one number, or one per direction or class of edges; 1 by
    default."""
    couplings: Path | None = None
    """File of a coupling per bond: lines `i j J`, a max-cut file, or a NumPy array."""
    first_site: Literal[0, 1] | None = None
    """Number of the first site in lines `i j J` of a file; else 0, or 1 in max-cut files."""
    coupling_scale: float | None = None
    """What the couplings of a file are multiplied by; 1 by default."""
    disorder: Literal["pm1", "gaussian"] | None = None
    """Law of the couplings of edwards-anderson; pm1 by default."""
    disorder_seed: int | None = None
    """Seed of the couplings of edwards-anderson; 0 by default."""
    field: tuple[float, ...] = ()
    """External field: one number, or q numbers for potts and clock; none by default."""
    open_boundaries: bool = False
    """Open boundaries in every direction, instead of periodic ones."""
    dim: int | None = None
    """Number of coordinates of many-well (32) and funnel (10)."""
    separation: float | None = None
    """How far apart modes are: of two-modes from 0 (2), of laplace from each other (8)."""

    def make(self, lattice: lt.Lattice | lt.Graph | None = None) -> Any:
        """Return the model that the options describe.

        Args:
            lattice: where the sites stand; None for what the options say of that.
        """
        of_density = {"dim": self.dim, "separation": self.separation}
        if is_density(self.model):
            self._check_density()
            return make_density(self.model, of_density)
        self._refuse(tuple(of_density))
        maker = registry.find("model", choose("model", self.model, model_names()))
        takes = set(inspect.signature(maker).parameters)
        self._check_couplings(takes)
        if "quartic" in takes:
            return maker(self.shape, self.mass_squared, self.quartic)
        if "disorder" in takes:
            # Its couplings are drawn, by a seed of their own, or come from a file.
            takes.discard("coupling")
            takes.add("disorder_seed")
        given: dict[str, Any] = {}
        for name in ("q", "coupling", "disorder", "disorder_seed"):
            value = getattr(self, name)
            # Not given: the default of the model counts.
            if value in (None, ()):
                continue
            if name not in takes:
                raise ValueError(
                    f"{option(name)} is no option of --model {self.model}; leave it out, or "
                    f"choose another model"
                )
            given[name] = value
        if "q" in takes and "q" not in given:
            raise ValueError(f"--model {self.model} needs --q, its number of states")
        if "disorder_seed" in given:
            # The model calls it seed, but --seed is of the random numbers of the run.
            given["seed"] = given.pop("disorder_seed")
        if len(self.coupling) == 1:
            given["coupling"] = self.coupling[0]
        if self.field:
            given["field"] = self._field("q" in takes)
        if lattice is not None:
            return maker(lattice, beta=self.told_beta, **given)
        if self.graph is not None:
            return self._on_graph(maker, given)
        file = self._couplings(given)
        if file is not None:
            given["coupling"] = file
        periodic = not self.open_boundaries
        return maker(self.shape, beta=self.told_beta, periodic=periodic, **given)

    def _on_graph(self, maker: Any, given: dict[str, Any]) -> Any:
        """Return the model on the graph that was asked for.

        Args:
            maker: of the model.
            given: its arguments so far, but for those that say where sites stand.

        Raises:
            ValueError: there is no such graph, or another option says what couplings are.
        """
        if self.couplings is not None:
            raise ValueError(
                "--couplings are those of a lattice of --shape; a file of a graph, --graph FILE, "
                "has its own couplings"
            )
        if self.shape != _SHAPE:
            raise ValueError("--shape and --graph both say where sites stand; leave one out")
        word = str(self.graph)
        found = as_graph(word, self.open_boundaries, self.first_site, self.coupling_scale)
        if found.coupling is not None:
            self._check_drawn(given, f"--graph {word}")
            given["coupling"] = found.coupling
        return maker(found.graph, beta=self.told_beta, **given)

    def _check_drawn(self, given: dict[str, Any], other: str) -> None:
        """Raise a ValueError if an option says what the couplings are, beside a file."""
        for name, argument in _DRAWN.items():
            if argument in given:
                raise ValueError(f"{option(name)} and {other} both say what J is; leave one out")

    @property
    def told_beta(self) -> Any:
        """Return the inverse temperature, the default where none is given; of a field None."""
        if is_field(self.model) or is_density(self.model):
            return None
        if self.beta is None:
            return _BETA
        return self.beta

    def _check_couplings(self, takes: set[str]) -> None:
        """Raise a ValueError for options of fields beside another model, and the other way round.

        Args:
            takes: names of the arguments of the model.
        """
        field = "quartic" in takes
        for name in _COUPLINGS:
            if field and getattr(self, name) is None:
                raise ValueError(f"--model {self.model} needs {option(name)}, one of its couplings")
            if not field and getattr(self, name) is not None:
                raise ValueError(
                    f"{option(name)} is no option of --model {self.model}; leave it out, or "
                    f"choose --model phi4"
                )
        if not field:
            return
        if self.beta is not None:
            raise ValueError(
                f"--model {self.model} has no --beta, its couplings hold it; give --mass-squared "
                f"and --quartic"
            )
        self._refuse(_OF_SPINS)

    def _check_density(self) -> None:
        """Raise a ValueError for options of lattices and of temperatures beside a density."""
        self._refuse((*_OF_SPINS, *_COUPLINGS, "beta"))
        if self.shape != _SHAPE:
            raise ValueError(f"--model {self.model} has no --shape, it is no lattice; leave it out")

    def _refuse(self, names: tuple[str, ...]) -> None:
        """Raise a ValueError for options that the model has not."""
        for name in names:
            if getattr(self, name) not in (None, (), False):
                raise ValueError(
                    f"{option(name)} is no option of --model {self.model}; leave it out, or "
                    f"choose another model"
                )

    def _couplings(self, given: dict[str, Any]) -> Tensor | None:
        """Return the couplings of the file, if one was given.

        Args:
            given: arguments of the model so far.

        Raises:
            ValueError: another option says what the couplings are, or there is no file for one.
        """
        if self.couplings is None:
            for name in ("first_site", "coupling_scale"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{option(name)} is of the file of --couplings; give it too")
            return None
        self._check_drawn(given, "--couplings")
        scale = 1.0
        if self.coupling_scale is not None:
            scale = self.coupling_scale
        periodic = not self.open_boundaries
        return lt.read_couplings(self.couplings, self.shape, periodic, self.first_site, scale)

    def _field(self, per_state: bool) -> Any:
        """Return the field: one number, or one per state."""
        if per_state:
            return self.field
        if len(self.field) > 1:
            raise ValueError(
                f"--field of --model {self.model} must be one number, got {len(self.field)}"
            )
        return self.field[0]


def kernel_size(model: lt.PairModel) -> int:
    """Return the size of a convolution: 7, or the largest that fits the lattice."""
    shortest = min(model.lattice.shape)
    # Sizes are odd, so that a site stands in the middle.
    fits = 2 * ((shortest - 1) // 2) + 1
    return min(7, fits)


def config(command: Any) -> dict[str, Any]:
    """Return the options of a command, ready for JSON."""
    found = dataclasses.asdict(command)
    if isinstance(command, ModelOptions):
        found["beta"] = command.told_beta
    for name, value in found.items():
        # Names without folders: a result tells nothing of the machine.
        if isinstance(value, Path):
            found[name] = value.name
    if found.get("graph") is not None:
        # The name of a file, or of a graph, which has no folder.
        found["graph"] = Path(found["graph"]).name
    return found
