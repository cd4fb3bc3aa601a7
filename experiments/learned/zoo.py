"""Train the samplers of the zoo anew, into the library's folder, with what is said of them.

    python experiments/learned/zoo.py                    # all, hours on one core: `make zoo`
    python experiments/learned/zoo.py --names ising-8    # about a minute

Each entry of the index holds the recipe, the seed, seconds and device of its training, and what
fresh walkers said.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import families
import measuring
import recipes
import torch
import tyro

import leaps_triton as lt
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance, vectors
from leaps_triton.zoo import index

FOLDER = Path(index.__file__).parent
MOST_BYTES = 10**6
"""Of a file of the zoo."""


@dataclass(frozen=True)
class Entry:
    """A sampler of the zoo."""

    about: str
    """What it is, in words."""
    model: Callable[[], Any]
    """Makes the model."""
    recipe: recipes.Recipe
    """How it is trained."""
    intervals: int
    """Of the jump process."""
    walkers: int = 2048
    """That say how good it is."""
    block: int = 256
    """Walkers of a block."""
    beginning: str | None = None
    """The entry of a smaller lattice that its training begins with."""
    power: float = 1.7
    """How much shorter late intervals are: 1 for equal ones."""
    sweeps: int = 0
    """Heat-bath sweeps at the end of each interval."""
    clusters: int = 0
    """Updates of all clusters (Swendsen and Wang) at the end of each interval."""
    windowed: recipes.Recipe | None = None
    """How the beginning learns to read windows on its own lattice first; None for not at all."""
    family: Callable[[], Sequence[Any]] = tuple
    """Makes other models that it is trained on too."""


ENTRIES: dict[str, Entry] = {
    "ising-8": Entry(
        "the critical Ising model, 8 x 8",
        lambda: lt.Ising((8, 8), 0.4407),
        recipes.ISING[8],
        12,
    ),
    "ising-16": Entry(
        "the critical Ising model, 16 x 16",
        lambda: lt.Ising((16, 16), 0.4407),
        recipes.ISING[16],
        16,
    ),
    "ising-32": Entry(
        "the critical Ising model, 32 x 32",
        lambda: lt.Ising((32, 32), 0.4407),
        recipes.ISING[32],
        48,
        256,
        64,
        "ising-16",
        clusters=2,
        windowed=recipes.WINDOWED,
    ),
    "potts3-16": Entry(
        "the Potts model of three states near its transition, 16 x 16",
        lambda: lt.Potts((16, 16), q=3, beta=1.005),
        recipes.POTTS,
        16,
        1024,
    ),
    "ising-16-beta": Entry(
        "Ising models of every β up to 0.6, and of other lengths, by one network",
        lambda: lt.Ising((16, 16), 0.6),
        recipes.CONDITIONED,
        16,
        512,
        # The transition lies within the path, and not at its end.
        power=1.0,
    ),
    "ea-8": Entry(
        "an Edwards-Anderson instance of couplings ±1 (seed 0), 8 x 8, β = 1, by a network for all",
        lambda: families.Instances().models()[0],
        recipes.INSTANCES,
        50,
        2048,
        power=1.0,
        sweeps=64,
        family=lambda: families.Instances().models()[1:],
    ),
}


@dataclass(frozen=True)
class Zoo:
    """Train samplers of the zoo."""

    names: tuple[str, ...] = tuple(ENTRIES)
    """Which of them."""
    seed: int = 0
    """Of training."""
    folder: Path = FOLDER
    """Where files and index are written."""
    trained: Path | None = None
    """A folder of samplers that were trained by the same recipes, NAME.safetensors with
    NAME.json beside: they are weighed and entered, not trained."""
    walkers: int | None = None
    """That say how good it is; None for those of each entry."""


def begun(entry: Entry, settings: Zoo) -> Any:
    """Return the network that the training of an entry begins with; None for a new one."""
    if entry.beginning is None:
        return None
    smaller = lt.load(settings.folder / f"{entry.beginning}.safetensors", "cpu")
    if entry.windowed is None:
        return smaller.transport
    model = smaller.path.model
    made = recipes.trained(model, entry.windowed, settings.seed + 30, 12, smaller.transport)
    return made.sampler.transport


def described(name: str, entry: Entry, settings: Zoo) -> dict[str, Any]:
    """Train or read a sampler, write it, and return what the index says of it."""
    model = entry.model()
    if settings.trained is None:
        family = entry.family()
        beginning = begun(entry, settings)
        made = recipes.trained(
            model, entry.recipe, settings.seed, entry.intervals, beginning, family=family
        )
    else:
        made = recipes.read(settings.trained / f"{name}.safetensors")
    move: lt.HeatBath | lt.SwendsenWang | None = None
    swept: dict[str, int] = {}
    if entry.sweeps:
        move = lt.HeatBath(entry.sweeps)
        swept = {"sweeps": entry.sweeps}
    if entry.clusters:
        move = lt.SwendsenWang(entry.clusters)
        swept = {"clusters": entry.clusters}
    sampler = lt.Sampler(
        made.sampler.path,
        made.sampler.transport,
        recipes.late(entry.intervals, entry.power),
        move,
        block=entry.block,
        device="cpu",
    )
    file = settings.folder / f"{name}.safetensors"
    lt.save(sampler, file)
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise RuntimeError(f"{file.name} has {size} bytes, more than {MOST_BYTES}")
    known = measuring.Known(measuring.exact_log_z(model), torch.zeros(0), "")
    run = measuring.drawn(sampler, settings.seed + 17, settings.walkers or entry.walkers)
    row = {"method": name, **measuring.numbers(sampler, run, known)}
    print(measuring.one_line(row), flush=True)
    return {
        "file": file.name,
        "about": entry.about,
        "model": repr(model),
        **made.about,
        **swept,
        "fresh_walkers": row,
        "device": f"{device_name(torch.device('cpu'))}, {vectors()}, one thread",
        "versions": provenance(),
    }


def main(settings: Zoo) -> None:
    """Train, weigh, and enter."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    settings.folder.mkdir(parents=True, exist_ok=True)
    table = settings.folder / "index.json"
    entries: dict[str, Any] = {}
    if table.exists():
        entries = json.loads(table.read_text(encoding="utf-8"))
    for name in settings.names:
        print(f"{name}: {ENTRIES[name].about}", flush=True)
        entries[name] = described(name, ENTRIES[name], settings)
        # After each, so that nothing trained is lost.
        ordered = {key: entries[key] for key in ENTRIES if key in entries}
        text = json.dumps(ordered, indent=2, ensure_ascii=False) + "\n"
        write_text(table, text)


if __name__ == "__main__":
    main(tyro.cli(Zoo, description=__doc__))
