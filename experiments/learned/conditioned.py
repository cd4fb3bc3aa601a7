"""One network for many temperatures and sizes of the Ising model, many fields, many instances.

    python experiments/learned/conditioned.py                      # about half an hour on one core
    python experiments/learned/conditioned.py --what fields        # minutes
    python experiments/learned/conditioned.py --what instances     # a quarter of an hour
    python experiments/learned/conditioned.py --smoke              # under a minute

A network reads β_t and not t, and its output is a rate per unit of β: what it has learned on the
way to the largest β holds on the way to every smaller one, and on any schedule. It is trained on
one path, from β = 0 through the transition into the ordered phase, and weighs walkers at each of
the temperatures of the table, without any training for them; then on smaller and larger lattices,
where the linear response alone is fitted anew. The same is done with updates of clusters at the end
of more intervals, and by these updates without a network: annealed importance sampling.

What else there may be one network for is told by :mod:`families`: uniform fields, and instances of
an Edwards-Anderson glass. Such networks are trained on several models together, and weighed on
others.
"""

import json
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import families
import measuring
import recipes
import torch
import tyro
from matplotlib.figure import Figure

import leaps_triton as lt
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.files import replacing, write_text
from leaps_triton.provenance import device_name, provenance, vectors
from leaps_triton.training import transfer


@dataclass(frozen=True)
class Conditioned:
    """Train one network, and measure it at many temperatures and sizes."""

    what: Literal["beta", "fields", "instances"] = "beta"
    """What there is one network for; all but block, seeds and folders is of ``beta`` alone."""
    length: int = 16
    """Of the lattice of the training."""
    beta: float = 0.6
    """The largest β, in the ordered phase."""
    betas: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.4407, 0.5, 0.6)
    """At which walkers are weighed."""
    lengths: tuple[int, ...] = (12, 24)
    """Other lattices."""
    seeds: tuple[int, ...] = (0,)
    """Of training."""
    intervals: int = 16
    """Of the jump process, to each β."""
    clusters: int = 2
    """Updates of all clusters (Swendsen and Wang) at the end of each interval of other samplers."""
    cluster_intervals: int = 64
    """Intervals of these."""
    walkers: int = 512
    """At each β."""
    block: int = 256
    """Walkers of a block."""
    seed: int = 7
    """Of the walkers."""
    save: Path | None = None
    """Folder for the trained samplers."""
    trained: Path | None = None
    """Folder of samplers that were saved before: they are weighed, and not trained again."""
    smoke: bool = False
    """A small lattice, and a moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for the table and the figure."""


NETWORK = "network"
BOTH = "network and clusters"
CLUSTERS = "clusters alone"
LINES = {NETWORK: "o-", BOTH: "s--", CLUSTERS: ".:"}
"""How each sampler is drawn."""

_OF_ALL = ("what", "seeds", "block", "seed", "save", "trained", "smoke", "results")
"""Settings of every part."""


def samplers_of(network: Any, model: Any, settings: Conditioned) -> dict[str, lt.Sampler]:
    """Return what is compared, by name."""
    path = lt.AnnealingPath(model)
    block = settings.block
    often = lt.Jump(settings.cluster_intervals)
    move = lt.SwendsenWang(settings.clusters)
    return {
        NETWORK: lt.Sampler(path, network, lt.Jump(settings.intervals), block=block, device="cpu"),
        BOTH: lt.Sampler(path, network, often, move, block=block, device="cpu"),
        CLUSTERS: lt.Sampler(path, None, often, move, block=block, device="cpu"),
    }


def rows_of(network: Any, length: int, settings: Conditioned) -> list[dict[str, Any]]:
    """Return what fresh walkers say at every β of one lattice."""
    rows: list[dict[str, Any]] = []
    for number, beta in enumerate(settings.betas):
        model = lt.Ising((length, length), beta)
        nobody = torch.zeros(0, length, length, dtype=torch.int8)
        known = measuring.Known(lt.exact.ising_log_z((length, length), beta=beta), nobody, "")
        seed = settings.seed + 100 * length + number
        for place, (name, sampler) in enumerate(samplers_of(network, model, settings).items()):
            run = measuring.drawn(sampler, seed + 10_000 * place, settings.walkers)
            row = {
                "method": f"{length} x {length}, β = {beta}, {name}",
                "sampler": name,
                "length": length,
                "beta": beta,
                **measuring.numbers(sampler, run, known),
            }
            print(measuring.one_line(row), flush=True)
            rows.append(row)
    return rows


def of_seed(seed: int, settings: Conditioned) -> dict[str, Any]:
    """Train one network, and return all that is measured of it."""
    model = lt.Ising((settings.length, settings.length), settings.beta)
    recipe = recipes.SMOKE if settings.smoke else recipes.CONDITIONED
    name = f"ising-{settings.length}-beta-seed{seed}.safetensors"
    if settings.trained is not None:
        made = recipes.read(settings.trained / name)
    else:
        shown = not settings.smoke
        made = recipes.trained(model, recipe, seed, settings.intervals, progress=shown)
    if settings.save is not None:
        recipes.kept(made, settings.save / name)
    network: Any = made.sampler.transport
    rows = rows_of(network, settings.length, settings)
    for length in settings.lengths:
        other = lt.AnnealingPath(lt.Ising((length, length), settings.beta))
        moved = transfer(
            network,
            other,
            recipe.refresh,
            recipe.response_walkers,
            recipe.response_times,
            seed=seed + 2000,
        )
        rows += rows_of(moved, length, settings)
    return {**made.about, "curve": made.curve, "rows": rows}


def drawn(result: dict[str, Any]) -> Figure:
    """Return ESS and the pull of log Z by β, a colour for each size."""
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    quality, pulls = figure.subplots(1, 2)
    for network in result["networks"]:
        lengths = sorted({row["length"] for row in network["rows"]})
        for number, length in enumerate(lengths):
            for name, line in LINES.items():
                rows = [
                    row
                    for row in network["rows"]
                    if row["length"] == length and row["sampler"] == name
                ]
                x = [row["beta"] for row in rows]
                label = f"{length} × {length}, {name}"
                look = {"color": f"C{number}", "markersize": 4}
                quality.plot(x, [row["ess"] for row in rows], line, label=label, **look)
                pulls.plot(x, [row["log_z_pull"] for row in rows], line[0], **look)
    quality.set(xlabel="β", ylabel="ESS", ylim=(0.0, 1.02), title="one network")
    for level in (-3, 3):
        pulls.axhline(level, color="grey", linewidth=0.8)
    pulls.set(xlabel="β", ylabel="(log Z - exact) / σ", title="log Z")
    figure.legend(
        *quality.get_legend_handles_labels(),
        frameon=False,
        fontsize=8,
        ncols=3,
        loc="outside lower center",
    )
    return figure


def of_family(part: families.Part, seed: int, settings: Conditioned) -> dict[str, Any]:
    """Train one network on the models of a part, and return all that is measured of it."""
    models = part.models()
    name = f"{settings.what}-{part.length}-seed{seed}.safetensors"
    if settings.trained is not None:
        made = recipes.read(settings.trained / name)
    else:
        made = recipes.trained(
            models[0], part.recipe, seed, part.intervals, None, not settings.smoke, models[1:]
        )
    if settings.save is not None:
        recipes.kept(made, settings.save / name)
    rows = list(part.rows(made.sampler.transport, settings.seed, settings.block))
    return {**made.about, "curve": made.curve, "rows": rows}


def of_part(settings: Conditioned) -> tuple[dict[str, Any], Figure]:
    """Return what is measured of networks for fields or instances, and its figure."""
    part = families.part_of(settings.what, settings.smoke)
    networks = [of_family(part, seed, settings) for seed in settings.seeds]
    figure = Figure(figsize=(11.0, 3.6), layout="constrained")
    part.draw(figure, networks)
    return {"networks": networks, "part": asdict(part)}, figure


def main(settings: Conditioned) -> None:
    """Train, measure, print, and save."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    chosen = settings
    if settings.smoke:
        chosen = replace(
            settings,
            length=4,
            betas=(0.2, 0.5),
            lengths=(6,),
            seeds=(0,),
            intervals=4,
            clusters=1,
            cluster_intervals=8,
            walkers=64,
            block=32,
        )
    if chosen.what == "beta":
        measured: dict[str, Any] = {"networks": [of_seed(seed, chosen) for seed in chosen.seeds]}
        figure = drawn(measured)
        name = "conditioned"
    else:
        measured, figure = of_part(chosen)
        name = f"conditioned_{chosen.what}"
    config = {**asdict(chosen), "results": chosen.results.name}
    for folder in ("save", "trained"):
        if config[folder] is not None:
            config[folder] = config[folder].name
    if chosen.what != "beta":
        # What else was set stands in the part.
        config = {key: config[key] for key in _OF_ALL}
    result = {
        **measured,
        "device": f"{device_name(torch.device('cpu'))}, {vectors()}, one thread",
        "config": config,
        "versions": provenance(),
    }
    chosen.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(chosen.results / f"{name}.json", text)
    with replacing(chosen.results / f"{name}.png") as part:
        figure.savefig(part, dpi=120)


if __name__ == "__main__":
    main(tyro.cli(Conditioned, description=__doc__))
