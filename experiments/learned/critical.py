"""Train networks on a model near its transition, and weigh them against annealing.

    python experiments/learned/critical.py                     # critical Ising, 8 x 8
    python experiments/learned/critical.py --length 16         # about an hour on one core
    python experiments/learned/critical.py --length 32 --beginning ising-16.safetensors
    python experiments/learned/critical.py --model potts --length 16
    python experiments/learned/critical.py --model glass
    python experiments/learned/critical.py --smoke             # under a minute

For each training seed: the curve of the training, then fresh walkers at several numbers of
intervals: ESS, Var[A] in all and per site, log Z in its errors from the exact value, evaluations
and seconds. The ESS of paths that run backwards from samples of others stands beside: a sampler
that lost a mode cannot pass it. AIS and SMC have a pilot each that chooses intervals and move, the
library's fast sweeps, and the same seconds as the network; 1/σ² of log Z a second and effective
walkers a second compare them, training apart, and ``break_even_seconds`` says from when on the
network is ahead with its training counted; None for never.
"""

import json
import math
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import measuring
import recipes
import torch
import tyro
from drawing import draw

import leaps_triton as lt
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance, vectors

BETAS = {"ising": 0.4407, "potts": 1.005, "glass": 1.0}
"""Near the transition of the infinite lattice, the value of published comparisons; of the glass,
where its relaxation has become slow."""

SWEEPS = (4, 8, 16)
"""Heat-bath sweeps at the end of each interval, that are tried."""
GLASS_SWEEPS = (16, 64)
"""Of a glass, likewise."""


@dataclass(frozen=True)
class Critical:
    """Train, measure, compare, draw."""

    model: str = "ising"
    """ising, potts with three states, or glass, an Edwards-Anderson instance of couplings ±1."""
    length: int = 8
    """Of the square lattice, periodic."""
    beta: float | None = None
    """Inverse temperature; critical by default."""
    instance: int = 0
    """Seed of the couplings of a glass."""
    seeds: tuple[int, ...] = (0, 1)
    """Of training."""
    intervals: tuple[int, ...] = (8, 12, 16, 25)
    """Of the jump process."""
    walkers: int = 2048
    """At each number of intervals."""
    reverse: int = 1024
    """Paths that run backwards."""
    seconds: float = 30.0
    """Of each classical rival."""
    block: int = 256
    """Walkers of a block of the network."""
    classical_block: int = 1024
    """Walkers of a block of the rivals, whose sweeps take 32 at once."""
    annealings: tuple[int, ...] = measuring.INTERVALS
    """Intervals of the rivals, among which a pilot chooses."""
    beginning: Path | None = None
    """A trained sampler of a smaller lattice, whose network is trained on."""
    clusters: tuple[int, ...] = (0,)
    """Updates of all clusters (Swendsen and Wang) at the end of each interval, that are tried with
    the network of an unfrustrated model; with any, pilots of the rivals try them too."""
    local_steps: int = 1500
    """Steps of the training of local rates, of Ising models alone; 0 for none."""
    save: Path | None = None
    """Folder for the trained samplers."""
    trained: Path | None = None
    """Folder of samplers that were trained and saved before: they are measured alone."""
    seed: int = 7
    """Of walkers, samples of others, and rivals."""
    smoke: bool = False
    """A small lattice, and a moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for the table and the figure."""


def model_of(settings: Critical) -> Any:
    """Return the model."""
    beta = settings.beta
    if beta is None:
        beta = BETAS[settings.model]
    shape = (settings.length, settings.length)
    if settings.model == "potts":
        return lt.Potts(shape, q=3, beta=beta)
    if settings.model == "glass":
        return lt.EdwardsAnderson(shape, beta=beta, disorder="pm1", seed=settings.instance)
    return lt.Ising(shape, beta)


def recipe_of(settings: Critical) -> recipes.Recipe:
    """Return how networks of the model are trained."""
    if settings.smoke:
        return recipes.SMOKE
    if settings.model == "glass":
        return recipes.GLASS
    if settings.model == "potts":
        return recipes.POTTS
    lengths = sorted(recipes.ISING)
    fitting = [length for length in lengths if length >= settings.length]
    return recipes.ISING[fitting[0] if fitting else lengths[-1]]


def made_of(kind: str, model: Any, seed: int, settings: Critical) -> recipes.Trained:
    """Return a trained network, or read one that was trained before."""
    name = f"{settings.model}-{settings.length}-{kind}-seed{seed}.safetensors"
    if settings.trained is not None:
        return recipes.read(settings.trained / name)
    print(f"training, {kind}, seed {seed}", flush=True)
    if kind == "local":
        steps = 8 if settings.smoke else settings.local_steps
        made = recipes.of_local_rates(model, seed, steps, progress=not settings.smoke)
    else:
        beginning = None
        if settings.beginning is not None:
            beginning = lt.load(settings.beginning, "cpu").transport
        recipe = recipe_of(settings)
        progress = not settings.smoke
        made = recipes.trained(model, recipe, seed, beginning=beginning, progress=progress)
    if settings.save is not None:
        recipes.kept(made, settings.save / name)
    return made


class Variant(NamedTuple):
    """What a network is weighed with."""

    intervals: int
    sweeps: int
    """Of heat bath, at the end of each interval"""
    clusters: int
    """Updates of all clusters there"""
    block: int
    """Walkers of a block"""

    def move(self) -> lt.HeatBath | lt.SwendsenWang | None:
        """Return the move at the end of each interval."""
        if self.sweeps:
            return lt.HeatBath(self.sweeps)
        if self.clusters:
            return lt.SwendsenWang(self.clusters)
        return None

    def told(self) -> dict[str, int]:
        """Return which moves there are, for a row."""
        told = {"sweeps": self.sweeps}
        if self.clusters:
            told["clusters"] = self.clusters
        return told


def variants(kind: str, settings: Critical) -> list[Variant]:
    """Return what a network is weighed with."""
    glass = settings.model == "glass"
    if kind == "symmetric" and not glass:
        return [
            Variant(intervals, 0, clusters, settings.block)
            for clusters in settings.clusters
            for intervals in settings.intervals
        ]
    block = settings.block
    if kind == "local":
        block = settings.classical_block
    found = [Variant(intervals, 0, 0, block) for intervals in settings.intervals]
    # What local rates leave to be done, and any network on a glass, sweeps do at little cost.
    for intervals in settings.intervals:
        for sweeps in GLASS_SWEEPS if glass else SWEEPS:
            found.append(Variant(intervals, sweeps, 0, block))
    return found


def sampler_of(made: recipes.Trained, variant: Variant) -> lt.Sampler:
    """Return the sampler of a network with other intervals, moves and blocks."""
    given = made.sampler
    jumps = recipes.late(variant.intervals)
    return lt.Sampler(
        given.path, given.transport, jumps, variant.move(), block=variant.block, device="cpu"
    )


def learned(
    kind: str, model: Any, seed: int, known: measuring.Known, settings: Critical
) -> dict[str, Any]:
    """Train one network, and return all that is measured of it."""
    made = made_of(kind, model, seed, settings)
    rows: list[dict[str, Any]] = []
    tried = variants(kind, settings)
    # Seeds of their own, so that the pulls of a table are independent.
    walker_seed = settings.seed + 1000 * seed
    for number, variant in enumerate(tried):
        sampler = sampler_of(made, variant)
        if sampler.mcmc is not None:
            # Compiles the move, which no measurement is to pay for.
            sampler.sample(sampler.block, walker_seed)
        run = measuring.drawn(sampler, walker_seed + number, settings.walkers)
        row: dict[str, Any] = {"method": f"{kind}, seed {seed}, {variant.sweeps} sweeps"}
        if variant.clusters:
            row["method"] = f"{kind}, seed {seed}, {variant.clusters} updates"
        row |= variant.told()
        row |= measuring.numbers(sampler, run, known)
        print(measuring.one_line(row), flush=True)
        rows.append(row)
    best = max(range(len(rows)), key=lambda n: rows[n]["inverse_variance_of_log_z_per_second"])
    sampler = sampler_of(made, tried[best])
    # Fresh walkers of the variant that was chosen by the others.
    run = measuring.drawn(sampler, walker_seed + 100, settings.walkers, settings.seconds)
    row = {"method": f"{kind}, seed {seed}, chosen"}
    row |= tried[best].told()
    row |= measuring.numbers(sampler, run, known)
    print(measuring.one_line(row), flush=True)
    return {
        "kind": kind,
        **made.about,
        "curve": made.curve,
        "rows": rows,
        "chosen": row,
        **measuring.reversed_numbers(sampler, known, settings.reverse, walker_seed + 200),
        "trace_t": [round(t, 4) for t in sampler.integrator.densities[1:].tolist()],
        "log_weight_variance_trace": measuring.variance_trace(sampler, walker_seed + 300),
        "law": measuring.magnetisations(known, run, model),
    }


def break_even(network: dict[str, Any], rival: dict[str, Any]) -> float | None:
    """Return the seconds of sampling after which training has paid for itself; None for never."""
    own = network["chosen"]["inverse_variance_of_log_z_per_second"]
    other = rival["inverse_variance_of_log_z_per_second"]
    if own <= other:
        return None
    return round(network["train_seconds"] * other / (own - other), 1)


def main(settings: Critical) -> None:
    """Measure, print, and save."""
    torch.set_num_threads(1)
    # Few walkers carry the weight of rivals: the table says so.
    warnings.simplefilter("ignore", CautionWarning)
    chosen = settings
    if settings.smoke:
        chosen = replace(
            settings,
            length=4,
            seeds=(0,),
            intervals=(4, 8),
            walkers=64,
            reverse=64,
            seconds=0.2,
            block=32,
            classical_block=64,
            annealings=(5,),
            local_steps=8,
        )
    model = model_of(chosen)
    path = lt.AnnealingPath(model)
    known = measuring.known_of(path, 4 * chosen.reverse, chosen.seed + 4)
    kinds = ["symmetric"]
    if chosen.model == "ising" and chosen.local_steps:
        kinds.append("local")
    networks: list[dict[str, Any]] = []
    for kind in kinds:
        for seed in chosen.seeds:
            networks.append(learned(kind, model, seed, known, chosen))
    classical = measuring.rivals(
        path, known, chosen.seconds, chosen.classical_block, chosen.seed + 5, chosen.annealings,
        clusters=any(chosen.clusters),
    )  # fmt: skip
    if chosen.model == "glass":
        classical.append(measuring.tempered(path, known, chosen.seconds, chosen.seed + 6))
    for network in networks:
        network["break_even_seconds"] = {
            rival["method"]: break_even(network, rival) for rival in classical
        }
        rate = network["chosen"]["inverse_variance_of_log_z_per_second"]
        network["times_the_rivals"] = {
            rival["method"]: round(rate / rival["inverse_variance_of_log_z_per_second"], 3)
            for rival in classical
        }
    name = f"critical_{chosen.model}_{chosen.length}"
    device = f"{device_name(torch.device('cpu'))}, {vectors()}"
    config = {**asdict(chosen), "results": chosen.results.name}
    for place in ("beginning", "save", "trained"):
        if config[place] is not None:
            config[place] = Path(config[place]).name
    result = {
        "model": repr(model),
        "log_z_exact": known.log_z,
        "samples_of_others": known.source,
        "networks": networks,
        "rivals": classical,
        "device": device,
        "config": config,
        "versions": provenance(),
    }
    chosen.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(chosen.results / f"{name}.json", text)
    draw(result, chosen.results / f"{name}.png")
    for network in networks:
        print(
            f"{network['kind']}, seed {network['seed']}: reverse ESS {network['reverse_ess']}, "
            f"times the rivals in 1/σ² a second {network['times_the_rivals']}, "
            f"break-even {network['break_even_seconds']} s"
        )
    if not all(math.isfinite(row["log_z"]) for network in networks for row in network["rows"]):
        raise RuntimeError("a log Z is not finite")


if __name__ == "__main__":
    main(tyro.cli(Critical, description=__doc__))
