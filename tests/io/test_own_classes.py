"""Classes of a user's own in files: entered in the registry they return, and others are refused."""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import pytest
import torch
from torch import Tensor, nn

import leaps_triton as lt
from leaps_triton import registry
from leaps_triton.io import checkpoint, parts
from leaps_triton.kernels import Stream


@lt.register("model")
class Magnet:
    """An energy of one's own, in a form that nothing of the library knows."""

    def __init__(self, length: int, beta: float, strength: float = 1.0) -> None:
        self.lattice = lt.Lattice((length, length))
        self.q = 2
        self.beta = beta
        self.settings = {"length": length, "beta": beta, "strength": strength}

    def energy(self, configurations: Tensor) -> Tensor:
        spins = 2.0 * configurations.flatten(1).double() - 1.0
        return -self.settings["strength"] * spins.sum(1) ** 2 / spins.shape[1]


class Shuffled(NamedTuple):
    """State of a move: what a chain needs, and a number of its own."""

    configurations: Tensor
    walkers: Tensor
    sweep: int
    moved: Tensor


@lt.register("move", "flip-all")
class FlipAll:
    """Heat-bath sweeps and then all spins at once, which leaves an even energy as it is."""

    def __init__(self, sweeps: int) -> None:
        self.settings = {"sweeps": sweeps}
        self.bath = lt.HeatBath(sweeps)

    def init(self, configurations: Tensor, walkers: Tensor) -> Shuffled:
        return Shuffled(configurations, walkers, 0, torch.zeros(len(walkers)))

    def step(self, state: Any, path: Any, t: Any, seed: int) -> tuple[Any, Any]:
        start = self.bath.init(state.configurations, state.walkers)
        after, info = self.bath.step(start._replace(sweep=state.sweep), path, t, seed)
        moved = Shuffled(1 - after.configurations, state.walkers, after.sweep, state.moved + 1.0)
        return moved, info


@lt.register("move")
@dataclass(frozen=True)
class Twice:
    """A move whose fields are its settings."""

    sweeps: int = 1
    label: str = ""

    def init(self, configurations: Tensor, walkers: Tensor) -> Any:
        return lt.HeatBath().init(configurations, walkers)

    def step(self, state: Any, path: Any, t: Any, seed: int) -> tuple[Any, Any]:
        return lt.HeatBath(2 * self.sweeps).step(state, path, t, seed)


@lt.register("network")
class Constant(nn.Module):
    """Rates that know nothing of the configuration but the site's own state."""

    def __init__(self, model: Any, size: float, names: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.settings = {"size": size, "names": names}
        self.strength = nn.Parameter(torch.tensor(size, dtype=torch.float64))
        self.register_buffer("uses", torch.zeros(2, dtype=torch.int64))

    def forward(self, configurations: Tensor, conditions: Any) -> Tensor:
        spins = 2.0 * configurations.double() - 1.0
        return (self.strength * spins).unsqueeze(1)


@lt.register("start")
class Biased:
    """Independent spins at inverse temperature 0, drawn with another stream of random numbers."""

    def __init__(self, length: int) -> None:
        self.settings = {"length": length}
        self.log_z = length**2 * math.log(2.0)

    def sample(self, walkers: Tensor, seed: int) -> Tensor:
        length = self.settings["length"]
        site = torch.arange(length**2)
        words = lt.kernels.philox(seed, Stream.START, site, 1, 0, walkers.unsqueeze(1))
        return (words[0] >> 31).to(torch.int8).view(-1, length, length)


@lt.register("schedule")
def quadratic(t: Tensor) -> Tensor:
    return t**2


@lt.register("schedule")
class Power:
    def __init__(self, exponent: float) -> None:
        self.settings = {"exponent": exponent}

    def __call__(self, t: Tensor) -> Tensor:
        return t ** self.settings["exponent"]


@lt.register("model")
class Field:
    """A target of real numbers in single precision."""

    dtype = torch.float32

    def __init__(self, shape: tuple[int, ...], beta: float) -> None:
        self.shape = tuple(shape)
        self.beta = beta
        self.settings = {"shape": shape, "beta": beta}

    def energy(self, configurations: Tensor) -> Tensor:
        return configurations.double().square().flatten(1).sum(1)


@lt.register("move")
@dataclass(frozen=True)
class Halve:
    """A step that can be told in the file: every number is halved."""

    def init(self, configurations: Tensor, walkers: Tensor) -> Any:
        return lt.HeatBath().init(configurations, walkers)

    def step(self, state: Any, path: Any, t: Any, seed: int) -> tuple[Any, Any]:
        halved = state._replace(configurations=0.5 * state.configurations, sweep=state.sweep + 1)
        return halved, None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_configurations_are_stored_as_what_they_are(
    dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Field, "dtype", dtype)
    start = torch.ones(2, 2, 3, dtype=dtype)
    options: dict[str, Any] = {"observables": ["energy"], "configurations": True, "device": "cpu"}
    field: Any = Field((2, 3), 0.5)
    run = lt.io.run_chain(
        field, Halve(), 2, 4, tmp_path / "c.h5", burn_in=0, start=start, **options
    )
    with h5py.File(tmp_path / "c.h5") as file:
        kind = torch.empty(0, dtype=dtype).numpy().dtype
        assert file["configurations"].dtype == file["state/configurations"].dtype == kind
    assert run.kept is not None and run.kept.dtype == dtype
    assert run.kept[0, :, 0, 0].tolist() == [0.5, 0.25, 0.125, 0.0625]


def sampler(mcmc: Any = None, network: Any = None, start: Any = None, f: Any = None) -> lt.Sampler:
    path = lt.AnnealingPath(Magnet(2, 0.2, strength=0.7), start, f)
    jump = lt.Jump(2, reversible="barker")
    return lt.Sampler(path, network, jump, mcmc, block=8, device="cpu")


SAMPLERS: dict[str, Callable[[], lt.Sampler]] = {
    "model": sampler,
    "move": lambda: sampler(FlipAll(2)),
    "move of fields": lambda: sampler(lt.Compose(Twice(2, "a"), lt.Metropolis())),
    "network": lambda: sampler(network=Constant(None, 0.3, ("a", "b"))),
    "start": lambda: sampler(start=Biased(2)),
    "schedule": lambda: sampler(f=quadratic),
    "schedule with settings": lambda: sampler(f=Power(1.5)),
    "all": lambda: sampler(FlipAll(1), Constant(None, 0.1), Biased(2), Power(2.0)),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_registered_class_returns_and_goes_on(name: str, tmp_path: Path) -> None:
    before = SAMPLERS[name]()
    lt.save(before, tmp_path / "s.safetensors")
    after = lt.load(tmp_path / "s.safetensors", device="cpu")
    one = before.sample(12, seed=3)
    two = after.sample(12, seed=3)
    assert torch.equal(one.configurations, two.configurations)
    assert torch.equal(one.log_weights, two.log_weights)
    first, second = checkpoint.describe(before), checkpoint.describe(after)
    assert checkpoint.differences(first, second) == []


def test_parameters_of_a_network_return(tmp_path: Path) -> None:
    network = Constant(None, 0.3)
    with torch.no_grad():
        network.strength.fill_(0.125)
    lt.save(sampler(network=network), tmp_path / "s.safetensors")
    found: Any = lt.load(tmp_path / "s.safetensors", device="cpu").transport
    assert type(found) is Constant
    assert found.strength.item() == 0.125 and found.strength.dtype == torch.float64
    assert found.uses.dtype == torch.int64


@pytest.mark.parametrize("move", [FlipAll(1), Twice(3), lt.Compose(Twice(), lt.HeatBath())])
def test_a_chain_goes_on_to_the_file_of_an_undisturbed_one(move: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"observables": ["energy"], "every": 4, "device": "cpu"}
    model = Magnet(2, 0.2)
    lt.io.run_chain(model, move, 2, 24, tmp_path / "whole.h5", burn_in=2, **options)
    lt.io.run_chain(model, move, 2, 11, tmp_path / "halves.h5", burn_in=2, **options)
    lt.io.run_chain(model, move, 2, 24, tmp_path / "halves.h5", resume=True, **options)
    assert (tmp_path / "whole.h5").read_bytes() == (tmp_path / "halves.h5").read_bytes()
    found = lt.io.read(tmp_path / "whole.h5")
    expected = lt.run_chain(model, move, 2, 24, burn_in=2, observables=["energy"], device="cpu")
    assert torch.equal(found.values["energy"], expected.values["energy"])


def test_weighted_walkers_of_own_classes_go_on(tmp_path: Path) -> None:
    made = SAMPLERS["all"]()
    lt.io.sample(made, 12, tmp_path / "w.h5", observables=["energy"])
    again = lt.io.sample(made, 12, tmp_path / "w.h5", observables=["energy"], resume=True)
    assert again.complete
    assert torch.equal(again.log_weights, made.sample(12).log_weights)
    assert type(getattr(again.model, "model", again.model)) is Magnet


class Unknown(Magnet):
    pass


class UnknownMove(FlipAll):
    pass


class UnknownNetwork(Constant):
    pass


class UnknownStart(Biased):
    pass


def unknown_schedule(t: Tensor) -> Tensor:
    return t**3


@pytest.mark.parametrize(
    ("make", "kind", "name"),
    [
        (
            lambda: lt.Sampler(lt.AnnealingPath(Unknown(2, 0.2)), None, mcmc=lt.HeatBath()),
            "model",
            "Unknown",
        ),
        (lambda: sampler(UnknownMove(1)), "move", "UnknownMove"),
        (lambda: sampler(network=UnknownNetwork(None, 0.1)), "network", "UnknownNetwork"),
        (lambda: sampler(start=UnknownStart(2)), "start", "UnknownStart"),
        (lambda: sampler(f=unknown_schedule), "schedule", "unknown_schedule"),
    ],
)
def test_what_is_not_registered_is_refused_with_the_line_to_add(
    make: Callable[[], lt.Sampler], kind: str, name: str, tmp_path: Path
) -> None:
    line = rf"got {name}; put @lt.register\('{kind}'\) above its definition"
    with pytest.raises(ValueError, match=line):
        lt.save(make(), tmp_path / "s.safetensors")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def entered() -> Iterator[Callable[[str, Any], Any]]:
    """Enter a thing in the registry for one test."""
    made: list[tuple[str, str]] = []

    def enter(kind: str, thing: Any) -> Any:
        name = f"for-a-test-{len(made)}"
        made.append((kind, name))
        return registry.register(kind, name)(thing)

    yield enter
    for kind, name in made:
        del registry._TABLE[kind][name]


@pytest.mark.parametrize("settings", [None, [], {"path": Path("x")}, {"f": print}, {1: 2}])
def test_settings_that_are_no_plain_data_are_refused(
    settings: Any, entered: Callable[[str, Any], Any], tmp_path: Path
) -> None:
    mine = entered("move", type("Mine", (FlipAll,), {}))(1)
    mine.settings = settings
    with pytest.raises(ValueError, match="Mine needs settings to be stored in a file"):
        lt.save(sampler(mine), tmp_path / "s.safetensors")


EVIL: dict[str, Callable[[str], dict[str, Any]]] = {
    "model": lambda name: {"model": {"class": name, "settings": {"command": "true"}}},
    "mcmc": lambda name: {"mcmc": {"class": name, "settings": {"command": "true"}}},
    "part of a move": lambda name: {"mcmc": {"class": "Compose", "kernels": [{"class": name}]}},
    "network": lambda name: {"network": {"class": name, "settings": {}}},
    "integrator": lambda name: {"integrator": {"class": name, "intervals": 4}},
    "start": lambda name: {
        "path": {"start": {"class": name, "settings": {}}, "schedule": "linear"}
    },
    "schedule": lambda name: {"path": {"start": "uniform", "schedule": name}},
    "class of a schedule": lambda name: {
        "path": {"start": "uniform", "schedule": {"class": name, "settings": {}}}
    },
}


@pytest.mark.parametrize("name", ["os.system", "eval", "builtins.exec", "subprocess.run", "", None])
@pytest.mark.parametrize("place", EVIL)
def test_a_file_cannot_name_what_is_not_registered(
    place: str, name: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*arguments: object) -> None:
        raise AssertionError("something was called by a name in a file")

    monkeypatch.setattr(os, "system", forbidden)
    manifest, tensors = checkpoint.describe(sampler(lt.HeatBath()))
    changed = checkpoint.Contents({**manifest, **EVIL[place](name)}, tensors)
    checkpoint.write(tmp_path / "evil", changed)
    with pytest.raises(ValueError, match=r"does not describe a sampler known here: .* is no known"):
        lt.load(tmp_path / "evil", device="cpu")


def test_names_that_are_no_names_are_refused() -> None:
    for name in (3, ["HeatBath"], {"class": "HeatBath"}):
        with pytest.raises(registry.UnknownNameError, match="is no known move"):
            parts.rebuild_move({"class": name})


READ = """
import sys, leaps_triton as lt
try:
    lt.load(sys.argv[1], device="cpu")
except ValueError as error:
    print(error)
"""


def test_another_process_asks_for_the_module_that_defines_the_class(tmp_path: Path) -> None:
    lt.save(sampler(FlipAll(1)), tmp_path / "s.safetensors")
    command = [sys.executable, "-c", READ, str(tmp_path / "s.safetensors")]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "'Magnet' is no known model" in run.stdout
    assert "import the module that defines it, with @lt.register('model')" in run.stdout
