"""``leaps-triton scan``: inverse temperatures or couplings into a file, a table and a figure."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

import leaps_triton as lt

from ...files import replacing
from ...kernels.checks import as_device
from ...provenance import provenance
from ..interrupts import going_on
from ..moves import AUTO, MOVES, as_move
from ..options import ModelOptions, config, is_field, option, with_check
from ..results import announce, check_figure, check_folders, write
from ..targets.densities import refuse
from ..targets.learned import load_sampler
from .info import measured

__all__ = ["Scan", "as_betas"]


Betas = Annotated[tuple[str, ...], tyro.conf.arg(metavar="FIRST:LAST:COUNT | B B ...")]
"""Inverse temperatures as words."""

Values = Annotated[tuple[str, ...], tyro.conf.arg(metavar="FIRST:LAST:COUNT | C C ...")]
"""Values of a coupling as words."""


_BETAS = ("0.38:0.50:13",)
"""Inverse temperatures unless told."""

_COUPLINGS = ("mass_squared", "quartic")
"""Options of fields."""


@dataclass(frozen=True, kw_only=True)
class Scan(ModelOptions):
    """Scan several inverse temperatures: one HDF5 file, one table, one figure.

    A field, phi4, is scanned in a coupling: --mass-squared -4 --quartic 3:7:9.

    With --resume and the same other options a stopped scan goes on.

    A finished scan goes on too: with more --sweeps, or --walkers if annealed.
    """

    output: Path
    """HDF5 file for the observables at every temperature."""
    beta: Betas = _BETAS  # type: ignore[assignment]
    """Inverse temperatures: first, last and how many, or one by one; phi4 has none."""
    mass_squared: Values = ()  # type: ignore[assignment]
    """Of phi4, S = Σ [-2 Σ φφ' + (2d + m²) φ² + λ φ⁴] as in lt.PhiFour: one value of m², or several
    to be scanned, likewise."""
    quartic: Values = ()  # type: ignore[assignment]
    """Of phi4: one value of λ, or several to be scanned; one coupling is scanned at a time."""
    method: Literal["chains", "tempering", "annealing"] = "chains"
    """chains for each, tempering with exchanges, or annealed walkers that pass all."""
    move: Annotated[tuple[str, ...], tyro.conf.arg(help=MOVES)] = (AUTO,)
    """What moves the walkers."""
    sampler: Path | None = None
    """Of annealing: a file of `leaps-triton train`; its model is scanned, to its own β."""
    walkers: int | None = None
    """Chains at every temperature (64), or annealed walkers (4096)."""
    sweeps: int | None = None
    """Of chains and tempering: steps after the burn-in (10000)."""
    thin: int | None = None
    """Of chains and tempering: steps from one draw to the next (10)."""
    burn_in: int | Literal["auto"] | None = None
    """Of chains and tempering: steps before, not measured; by default a tenth of the sweeps."""
    intervals: int | None = None
    """Of annealing: intervals of the path (100), and a few more to hit every temperature."""
    observables: tuple[str, ...] = lt.io.OBSERVABLES
    """Names in lt.observables."""
    every: int = 100
    """Draws from one write to the next; a crash loses no more."""
    resume: bool = False
    """Go on with the output file, if there is one."""
    seed: int = 0
    """Seed of everything random, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    figure: Path | None = None
    """Where to save the figure; by default beside the output, with the ending .png."""
    json: Path | None = None
    """Where to save the table as JSON."""

    def run(self) -> None:
        """Run, print, draw and save."""
        drawn = self.figure or self.output.with_suffix(".png")
        check_folders(self.output, drawn, self.json)
        check_figure(drawn)
        refuse(self.model, "scan", "it has no temperature; take leaps-triton chain, or sample")
        place = as_device(self.device)
        name, values = self._varied()
        options = self._options()
        options[name] = values
        if self.sampler is not None:
            self._expect_no_model()
            options["sampler"] = load_sampler(self.sampler, place)
            model = options["sampler"].path.model
        else:
            options["move"] = as_move(self.move)
            model = self._model(name, max(values))
        announce(model, place)
        begin = time.perf_counter()
        with going_on(self.output):
            found = lt.io.scan(
                model,
                file=self.output,
                method=self.method,
                observables=with_check(model, self.observables),
                seed=self.seed,
                device=place,
                every=self.every,
                resume=self.resume,
                progress=True,
                **options,
            )
        table = measured(found.result, self.output)
        print(f"scan: {self.output}")
        # Here, not above: other commands start without matplotlib.
        from ...report import figures

        with replacing(drawn) as part:
            figures.scan(found).savefig(part, dpi=120)
        print(f"figure: {drawn}")
        seconds = time.perf_counter() - begin
        about = {"seconds": seconds, "config": config(self), "versions": provenance()}
        write(self.json, {**table, **about})

    def _options(self) -> dict[str, Any]:
        """Return the options of the method; those it does not take are refused by name."""
        found = {}
        for name in ("walkers", "sweeps", "thin", "burn_in", "intervals"):
            found[name] = getattr(self, name)
        if self.method != "annealing":
            # As many as `leaps-triton chain` makes.
            if self.sweeps is None:
                found["sweeps"] = 10000
            if self.thin is None:
                found["thin"] = min(10, found["sweeps"])
        return found

    def _expect_no_model(self) -> None:
        """Raise a ValueError for options that a sampler brings itself."""
        described = {each.name for each in dataclasses.fields(ModelOptions)} - {"beta"}
        for each in dataclasses.fields(self):
            told = each.name in described or each.name == "move"
            if told and getattr(self, each.name) != each.default:
                raise ValueError(
                    f"{option(each.name)} is no option beside --sampler, whose file has a model "
                    f"and moves of its own; leave it out"
                )

    def _varied(self) -> tuple[str, list[float]]:
        """Return the name of what is scanned, as :func:`leaps_triton.scan` calls it, and values."""
        couplings = self._couplings_told()
        if self.sampler is not None or not is_field(self.model):
            return "betas", as_betas(self.beta)
        if self.beta != _BETAS:
            raise ValueError(
                f"--model {self.model} has no --beta, its couplings hold it; scan one of these, as "
                f"in --quartic 3:7:9"
            )
        several = [name for name, values in couplings.items() if len(values) > 1]
        if len(couplings) < len(_COUPLINGS) or len(several) != 1:
            raise ValueError(
                f"--model {self.model} is scanned in one of its couplings; give one value of the "
                f"other, as in --mass-squared -4 --quartic 3:7:9"
            )
        return several[0], couplings[several[0]]

    def _couplings_told(self) -> dict[str, list[float]]:
        """Return the values of all couplings that were given."""
        found = {}
        for name in _COUPLINGS:
            if getattr(self, name):
                found[name] = as_betas(getattr(self, name), option(name))
        return found

    def _model(self, name: str, last: float) -> Any:
        """Return the model that the options describe, at the last of the values."""
        given = {each.name: getattr(self, each.name) for each in dataclasses.fields(ModelOptions)}
        for each in _COUPLINGS:
            given[each] = None
        for each, values in self._couplings_told().items():
            given[each] = max(values)
        given["beta"] = None
        if name == "betas":
            given["beta"] = last
        return ModelOptions(**given).make()


def as_betas(words: tuple[str, ...], name: str = "--beta") -> list[float]:
    """Return the inverse temperatures, or other numbers, that words of the command line describe.

    Args:
        words: numbers, or ``first:last:count`` for so many at equal steps, both ends among them.
        name: of their option.

    Raises:
        ValueError: something else.

    Example:
        >>> as_betas(("0.1:0.3:3", "0.5"))
        [0.1, 0.2, 0.3, 0.5]
    """
    found: list[float] = []
    for word in words:
        parts = word.split(":")
        try:
            numbers = [float(part) for part in parts[:2]]
            count = int(parts[2]) if len(parts) == 3 else 0
        except ValueError:
            numbers = []
            count = 0
        if len(parts) == 1 and len(numbers) == 1:
            found.append(numbers[0])
            continue
        if len(parts) != 3 or count < 2 or len(numbers) < 2:
            raise ValueError(
                f"{name} must be numbers, or FIRST:LAST:COUNT with a count of at least 2, as in "
                f"0.38:0.50:13, got {word!r}"
            )
        steps = torch.linspace(numbers[0], numbers[1], count, dtype=torch.float64)
        # Twelve digits: sums of steps would print as 0.30000000000000004.
        found += [round(beta, 12) for beta in steps.tolist()]
    return found
