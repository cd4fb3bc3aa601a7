"""``leaps-triton plot``: figures of one or several runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import leaps_triton as lt

from ...provenance import provenance
from ...report import summary
from ..options import FIGURES, check_folders, write

__all__ = ["Plot"]

_ANNEALING = "annealing"

# Two rows of three.
_GIF_WALKERS = 6

# At most six seconds, at the film's ten frames a second.
_GIF_FRAMES = 60


@dataclass(frozen=True)
class Plot:
    """Draw figures of files of walkers and chains, all that their data allow.

    Observables against temperature and Binder crossings take several files.

    Autocorrelation, snapshots and annealing are of the first file that has them.
    """

    files: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="FILE...", help_behavior_hint="(required)"),
    ]
    """HDF5 files of `leaps-triton sample` or `leaps-triton chain`."""
    output: Path = Path()
    """Folder for the figures; or a file, .png, .pdf or .svg, whose name begins those of several."""
    format: Literal["png", "pdf", "svg"] | None = None
    """How figures in a folder are written; png by default."""
    separate: bool = False
    """One panel a file."""
    only: tuple[
        Literal[
            "observables",
            "correlation",
            "autocorrelation",
            "weights",
            "overlaps",
            "binder",
            "snapshots",
            "annealing",
        ],
        ...,
    ] = ()
    """Figures to draw; by default all that the files allow."""
    dpi: int = 120
    """Dots an inch."""
    json: Path | None = None
    """Where to save the names of the figures' files as JSON."""

    def run(self) -> None:
        """Read, draw, and save."""
        # Here, not above: other commands start without matplotlib.
        from ...report.figures import NEEDS, idle
        from ...report.figures import panels as panels_of

        needs = {**NEEDS, _ANNEALING: "it takes weighted walkers, or a chain with --configurations"}
        self._check()
        runs = self._read()
        figures = {}
        for name in self.only or needs:
            # A figure asked for by name is drawn even if it shows little.
            if not self.only and idle(name, runs):
                print(f"{name}: left out, {idle(name, runs)}")
                continue
            panels = [name]
            if self.separate:
                panels = panels_of(name, runs)
            for panel in panels:
                saved = _draw(panel, runs, self._file(panel), self.dpi)
                if saved is not None:
                    figures[panel] = saved.name
                    print(f"{panel}: {saved}")
                # Asked for by name it must be there; of all, those without data are left out.
                elif self.only:
                    raise ValueError(
                        f"these files have no data for the figure {name}: {needs[name]}"
                    )
                else:
                    print(f"{name}: left out, {needs[name]}")
        # Without folders, which tell of the machine.
        names = [file.name for file in self.files]
        write(self.json, {"figures": figures, "files": names, "versions": provenance()})

    def _check(self) -> None:
        """Raise a ValueError for a bad option."""
        if not self.files:
            raise ValueError("give at least one HDF5 file to plot")
        check_folders(self.json)
        if self._is_file():
            check_folders(self.output)
            if self.format is not None:
                raise ValueError(
                    f"give --format for a folder alone, and not for the file {self.output.name}"
                )
        elif not self.output.is_dir():
            raise ValueError(
                f"there is no folder {self.output} for the figures; make it, or choose another"
            )
        if self.dpi < 20:
            raise ValueError(f"dpi must be at least 20, got {self.dpi}")

    def _is_file(self) -> bool:
        """Return whether the output is the name of a file, and no folder."""
        return self.output.suffix.lower() in FIGURES and not self.output.is_dir()

    def _file(self, name: str) -> Path:
        """Return the file of a figure."""
        if not self._is_file():
            return self.output / f"{name}.{self.format or 'png'}"
        # The one figure that was asked for has the name that was given.
        if len(self.only) == 1 and not self.separate:
            return self.output
        return self.output.with_name(f"{self.output.stem}-{name}{self.output.suffix}")

    def _read(self) -> dict[str, Any]:
        """Return the runs of the files, by names that tell them apart."""
        runs: dict[str, Any] = {file.stem: lt.io.read(file) for file in self.files}
        if len(runs) < len(self.files):
            raise ValueError(
                "two files have the same name, and labels would be the same; rename one"
            )
        for name, run in runs.items():
            if not run.has_errors:
                raise ValueError(
                    f"{name} has too few walkers or draws for error bars; go on with it by "
                    f"--resume first"
                )
        return runs


def _draw(name: str, runs: dict[str, Any], file: Path, dpi: int) -> Path | None:
    """Save one figure, from the runs that have the data for it; None if there are none."""
    if name == _ANNEALING:
        # A film has one kind of file.
        return _annealing(runs, file.with_suffix(".gif"))
    from ...report import figures

    figure = figures.draw(name, runs)
    if figure is None:
        return None
    figure.savefig(file, dpi=dpi, format=file.suffix[1:].lower())
    return file


def _annealing(runs: dict[str, Any], file: Path) -> Path | None:
    """Save a film of the first run that knows the way of its walkers; None if there is none."""
    for run in runs.values():
        moving = run.on_the_way(_GIF_WALKERS, _GIF_FRAMES)
        if moving is not None:
            about = summary.title(run.model)
            titles = [f"{about}, {caption}" for caption in moving.captions]
            lt.physics_plots.animation(moving.frames, titles, file, run.model.q)
            return file
    return None
