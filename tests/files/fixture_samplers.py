"""The samplers of ``v1``: every model, move, network and setting of the integrators.

A sampler's file keeps only the uniform start and the schedule ``β_t = t β``; there are no others
here for this reason. All networks have parameters far from zero, so that an error in any of them
shows in the numbers.
"""

from collections.abc import Iterator
from typing import Any

import torch

import leaps_triton as lt

BLOCK = 8
"""Walkers per block of every sampler."""

# Tolerances, relative and absolute, of the numbers that going on gives; `test_fixtures.py` says
# why.
FLOAT64 = 1e-10
FLOAT32 = 1e-5


def ising(**options: Any) -> lt.Ising:
    """Return a small Ising model in a field."""
    return lt.Ising(**{"shape": (3, 4), "beta": 0.4, "field": 0.3, **options})


def glass(shape: tuple[int, ...] = (4, 3), **options: Any) -> lt.EdwardsAnderson:
    """Return a small spin glass."""
    return lt.EdwardsAnderson(shape, **{"beta": 0.9, "seed": 2, **options})


def potts(**options: Any) -> lt.Potts:
    """Return a small Potts model with a field on its states."""
    return lt.Potts(**{"shape": (3, 3), "q": 3, "beta": 0.8, "field": [0.3, 0.0, -0.2], **options})


def clock(**options: Any) -> lt.Clock:
    """Return a short open chain of clocks."""
    return lt.Clock(**{"shape": 5, "q": 5, "beta": 1.0, "periodic": False, **options})


def pairs() -> lt.PairModel:
    """Return a pair model without any symmetry, periodic in one direction only."""
    site_table = torch.linspace(0.0, 1.0, 24, dtype=torch.float64).view(2, 3, 4)
    return lt.PairModel((3, 4), 0.3, [[0.5, -1.0], [-0.3, 1.0]], site_table, 0.7, (True, False))


def disordered() -> lt.Ising:
    """Return an Ising model with a coupling per bond, a field per site and open boundaries."""
    coupling = torch.linspace(-0.6, 1.1, 18, dtype=torch.float64).view(2, 3, 3)
    field = torch.linspace(-0.5, 0.7, 9, dtype=torch.float64).view(3, 3)
    return lt.Ising((3, 3), 0.5, coupling, field, False)


SMALL: dict[str, dict[str, Any]] = {
    "HollowConv": {"kernel_size": 3, "channels": 4, "width": 8, "modes": 1},
    "LEM": {"channels": 2, "width": 4},
    "LEA": {"channels": 4, "heads": 2, "width": 8},
    "LEC": {"kernel_sizes": (3, 3), "channels": 4, "width": 8},
    "LETransformer": {"channels": 4, "heads": 2, "layers": 2, "width": 8},
    "LocalRates": {"width": 8},
}
"""Arguments of a small network of each class."""


def network(name: str, model: Any, double: bool = False, **options: Any) -> Any:
    """Return a network whose parameters are all far from zero."""
    made = getattr(lt, name)(model, **{**SMALL[name], "seed": 3, **options})
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    if double:
        return made.double()
    return made


def sampler(
    model: Any, transport: Any, integrator: Any, mcmc: Any = None, **options: Any
) -> lt.Sampler:
    """Return a sampler in small blocks on a CPU."""
    path = lt.AnnealingPath(model)
    return lt.Sampler(
        path, transport, integrator, mcmc, **{"block": BLOCK, "device": "cpu", **options}
    )


def models() -> Iterator[tuple[str, lt.Sampler, float]]:
    """Yield every model, moved by every move of single walkers, without a network."""
    half = lt.Jump([0.0, 0.3, 1.0])
    backward = lt.Metropolis(1, True)
    everything: dict[str, tuple[Any, Any]] = {
        "model-pair": (pairs(), lt.Metropolis(2)),
        "model-ising-field": (ising(), lt.HeatBath()),
        "model-ising-couplings": (disordered(), lt.HeatBath(2, True)),
        "model-ising-4d": (lt.Ising((2, 2, 2, 2), 0.2), lt.HeatBath(2)),
        "model-edwards-anderson": (glass((2, 3, 3), disorder="gaussian"), lt.SwendsenWang(2)),
        "model-potts": (potts(), lt.SwendsenWang()),
        "model-clock": (clock(), lt.Overrelaxation(2)),
        "move-wolff": (potts(), lt.Wolff(3)),
        "move-kinetic": (glass(), lt.KineticMonteCarlo(0.5, "square_root", 5000)),
        "move-kinetic-default": (ising(), lt.KineticMonteCarlo()),
        "move-compose": (clock(), lt.Compose(lt.HeatBath(), lt.Overrelaxation(2, True), backward)),
        "move-compose-nested": (
            ising(),
            lt.Compose(lt.HeatBath(2), lt.Compose(lt.Wolff(), backward)),
        ),
    }
    for name, (model, move) in everything.items():
        yield name, sampler(model, None, half, move), FLOAT64
    for scheme in ("systematic", "stratified", "residual"):
        options = {"resample_below": 0.95, "resampling": scheme}
        yield (
            f"resampling-{scheme}",
            sampler(ising(beta=0.6), None, lt.Jump(4), lt.HeatBath(), **options),
            FLOAT64,
        )


def networks() -> Iterator[tuple[str, lt.Sampler, float]]:
    """Yield every network, in a field and with three states."""
    jump = lt.Jump(2)
    for name in SMALL:
        for model, kind in ((ising(), "ising"), (potts(), "potts")):
            made = sampler(model, network(name, model), jump)
            yield f"network-{name.lower()}-{kind}", made, FLOAT32
    wide = ising(shape=(4, 4))
    options: dict[str, tuple[str, Any, dict[str, Any]]] = {
        "network-hollowconv-incremental": ("HollowConv", wide, {"incremental": True}),
        "network-hollowconv-precision": ("HollowConv", ising(), {"precision": "tf32x3"}),
        "network-hollowconv-default-precision": ("HollowConv", ising(), {}),
        "network-lec-zero-edges": ("LEC", disordered(), {"zero_edges": True, "local_field": False}),
        "network-localrates-shells": ("LocalRates", wide, {"shells": 1}),
    }
    for name, (kind, model, changed) in options.items():
        yield name, sampler(model, network(kind, model, **changed), jump), FLOAT32
    for kind in SMALL:
        transport = network(kind, pairs(), double=True)
        yield (
            f"network-{kind.lower()}-float64",
            sampler(pairs(), transport, jump, lt.HeatBath()),
            FLOAT64,
        )


def integrators() -> Iterator[tuple[str, lt.Sampler, float]]:
    """Yield every setting of the integrators."""
    model = ising()
    large = ising(shape=(4, 4))
    times = [0.0, 0.2, 0.5, 1.0]
    local: dict[str, Any] = {"modes": 0, "global_features": False}
    for rates in ("barker", "square_root", "metropolis"):
        alone = lt.Jump(times, rates, 2.0)
        yield f"jump-{rates.replace('_', '-')}", sampler(model, None, alone), FLOAT64
        floor = lt.TauLeap([0.0, 0.5, 1.0], floor=2.0, reversible=rates)
        yield f"leap-{rates.replace('_', '-')}", sampler(model, None, floor), FLOAT64
    for name, domain in (("edge", 2), ("edges", (4, 2))):
        local_network = network("HollowConv", large, **local)
        yield (
            f"jump-domain-{name}",
            sampler(large, local_network, lt.Jump(2, domain=domain)),
            FLOAT32,
        )
    cut = lt.Jump(times, "metropolis", 1.5, domain=2)
    yield "jump-domain-reversible", sampler(large, None, cut), FLOAT64
    for name, tables in (("always", True), ("never", False)):
        by_class = network("LocalRates", large, double=True, shells=1)
        yield f"jump-tables-{name}", sampler(large, by_class, lt.Jump(2, tables=tables)), FLOAT64
    both = lt.Jump(2, reversible="barker", scale=0.5, max_events=5000)
    refreshed = sampler(
        model, network("HollowConv", model), both, lt.Metropolis(), resample_below=0.9
    )
    yield "jump-with-all", refreshed, FLOAT32
    yield "leap-default", sampler(model, network("HollowConv", model), lt.TauLeap(4)), FLOAT32
    yield (
        "leap-with-move",
        sampler(potts(), network("LEC", potts()), lt.TauLeap(3), lt.HeatBath()),
        FLOAT32,
    )
    yield (
        "leap-euler",
        sampler(model, network("HollowConv", model, double=True), lt.TauLeap(4, "euler")),
        FLOAT64,
    )
    euler = lt.TauLeap(4, "euler", floor=0.5, reversible="barker")
    yield "leap-euler-floor", sampler(model, network("LEM", model, double=True), euler), FLOAT64
