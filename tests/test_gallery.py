"""Every example of the gallery runs at a small size, and what it finds agrees with exact values."""

import ast
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

import leaps_triton as lt
from running_scripts import short_burn_ins

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = sorted((DOCS / "gallery").glob("*.py"))

SMALL: dict[str, dict[str, Any]] = {
    "along_the_path": {"SIZE": 3, "WALKERS": 500, "CHAINS": 16, "SWEEPS": 150},
    "arviz_export": {"SIZE": 4, "SWEEPS": 400},
    "autocorrelation_times": {"SIZES": [3, 4], "WALKERS": 8, "SLOW": 800, "FAST": 150},
    "domain_growth": {"LENGTH": 128, "TIMES": [4, 8, 16, 32], "SHOWN": [4, 16, 32]},
    "equilibrium_training": {"SIZE": 4, "STEPS": 12, "WALKERS": 500, "SAMPLES": 128},
    "frustration": {"LENGTH": 3, "SWEEPS": 100, "STEPS": 30},
    "ising_3d": {"SIZES": [2, 3], "WALKERS": 32, "SWEEPS": 120},
    "learned_or_annealed": {"SIZE": 4, "STEPS": 50, "WALKERS": 500, "INTERVALS": 10},
    "linear_response": {"SIZE": 4, "SAMPLES": 100, "WALKERS": 512},
    "log_z": {"SHAPE": (3, 3), "WALKERS": 500, "CHAINS": 8, "SWEEPS": 300},
    "own_couplings": {"SIZE": 4, "WALKERS": 16, "SWEEPS": 400},
    "own_energy": {"SHAPE": (3, 3), "WALKERS": 32, "SWEEPS": 150},
    "own_observable": {"WALKERS": 16, "SWEEPS": 250, "WEIGHTED": 500},
    "phi_four": {"SIZES": [2, 4], "WALKERS": 16, "SWEEPS": 200, "POINTS": 3, "ANNEALED": 512},
    "potts_first_order": {"SIZE": 2, "WALKERS": 8, "SWEEPS": 800},
    "resampling": {"SIZE": 4, "BLOCK": 64, "BLOCKS": 16, "INTERVALS": 10},
    "reweighting": {"SIZE": 4, "WALKERS": 8, "SWEEPS": 500},
    "temperature_scan": {"SIZE": 4, "WALKERS": 16, "SWEEPS": 150},
    "training": {"SIZE": 3, "STEPS": 60, "WALKERS": 500},
    "unequal_modes": {"FIRST": 30, "STEPS": 5, "WALKERS": 512, "ANNEALED": 256},
}

# Pulls in one example have seeds of their own or share draws; beyond this one in 15 000 would lie.
MOST_SIGMA = 4.0


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    """Figures without a screen, closed after each test."""
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def small(source: str, constants: dict[str, Any]) -> ast.Module:
    """The program with other values for the constants at its top, all of which it must have."""
    tree = ast.parse(source)
    left = dict(constants)
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in left:
                statement.value = ast.parse(repr(left.pop(name)), mode="eval").body
    assert not left
    return ast.fix_missing_locations(tree)


def execute(name: str) -> dict[str, Any]:
    """What the example defines, run at its small size."""
    file = DOCS / "gallery" / f"{name}.py"
    program = small(file.read_text(encoding="utf-8"), SMALL[name])
    found: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(program, str(file), "exec"), found)
    return found


def pulls(name: str, found: dict[str, Any]) -> list[float]:
    """How far its results are from exact ones, in units of their errors."""
    if name == "own_couplings":
        return [found["pull"]]
    if name in ("potts_first_order", "arviz_export"):
        chain = found["chain"]
        return [chain.estimate("energy").pull(lt.exact.energy(chain.model))]
    if name == "phi_four":
        return [check.pull(1.0) for check in found["checks"]]
    if name == "ising_3d":
        return [
            chain.estimate("energy").pull(lt.exact.energy(chain.model)) for chain in found["chains"]
        ]
    if name == "reweighting":
        columns = (found["values"], found["errors"], found["exact"])
        return [
            lt.Estimate(value, error).pull(exact)
            for value, error, exact in zip(*columns, strict=True)
        ]
    return list(found["pulls"])


@pytest.mark.parametrize("name", sorted(SMALL.keys() - {"autocorrelation_times", "domain_growth"}))
def test_an_example_agrees_with_exact_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "unequal_modes":
        short_burn_ins(monkeypatch)
    if name == "arviz_export":
        pytest.importorskip("arviz_base")
    distances = pulls(name, execute(name))
    assert distances
    assert max(abs(pull) for pull in distances) < MOST_SIGMA
    check_figure()


def test_slow_moves_are_slow_in_the_example_of_autocorrelation_times() -> None:
    times = execute("autocorrelation_times")["times"]
    assert all(0.4 < time < 30.0 for column in times.values() for time in column)
    assert times["Metropolis"][-1] > times["heat bath"][-1] / 3
    assert times["heat bath"][-1] > times["Swendsen–Wang"][-1]
    check_figure()


def test_walls_shrink_in_the_example_of_domain_growth() -> None:
    excess = execute("domain_growth")["excess"]
    # A factor of 8 in time; the law of late times is 0.5, which small domains have not reached.
    power = math.log(excess[0] / excess[-1]) / math.log(8.0)
    assert 0.35 < power < 0.55
    check_figure()


def check_figure() -> None:
    """One figure, all axes of which say what they show."""
    (number,) = plt.get_fignums()
    axes = plt.figure(number).axes
    assert all(one.get_xlabel() or one.get_ylabel() for one in axes)
    assert any(one.get_xlabel() for one in axes)
    assert any(one.get_ylabel() for one in axes)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_short_and_uses_public_names_only(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 60
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        assert not isinstance(node, ast.ImportFrom)
    assert "leaps_triton" in modules
    assert modules <= {"leaps_triton", "math", "matplotlib.pyplot", "time", "torch"}


def test_every_example_is_tested_and_has_its_place() -> None:
    assert {file.stem for file in EXAMPLES} == set(SMALL)
    settings = ast.parse((DOCS / "conf.py").read_text(encoding="utf-8"))
    (listed,) = (
        ast.literal_eval(statement.value)
        for statement in settings.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "GALLERY"
    )
    assert sorted(listed) == sorted(SMALL)
