"""Files made with version 0.1.0 of the library load, and go on to the numbers that they gave then.

Random numbers are integers and the same everywhere, so configurations and counts must be equal.
Numbers in floating point come from the functions of the C library and from BLAS, which round in
another way on another CPU. Tolerances, relative and absolute, are in ``expected.json``: 1e-10 in
float64, 1e-5 with a float32 network, 1e-4 after four steps of Adam in float32, which divides
gradients by their size. With torch's and MKL's code for three generations of CPUs the largest
differences were 3e-15, 8e-7 and 5e-7, and every configuration was the same. A decision by a float32
rate falls the other way with about the odds of its rounding, 1e-7; rollouts are short, so that
there are only some thousands of decisions.
"""

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from going_on import FILES, going_on, manifest_of
from leaps_triton import registry
from leaps_triton.training.state import LATER

EXPECTED: dict[str, dict[str, Any]] = json.loads(
    (FILES / "expected.json").read_text(encoding="utf-8")
)["files"]
EXACT = {"configurations", "kept", "buffer", "steps", "walkers", "draws"}
"""Names of what consists of integers."""
NEWER = {
    *("GaussianDrift", "GradientDrift", "HollowDrift", "LinearResponse", "SymmetricConv"),
    *("LearnedEnergy",),
    *("HMC", "Langevin", "SignCluster"),
    *("MapStep", "PathRatio", "PhiFour"),
    *("Funnel", "GaussianMixture", "LaplacePair", "ManyWell"),
    *("DenseDrift", "HollowDenseDrift", "RBM", "RungeKutta"),
}
"""Classes that came after these files were made."""


def nameable() -> set[str]:
    """Return the name of every class of the library that a file can name."""
    found = set()
    for kind in ("model", "move", "network", "integrator"):
        for name, thing in registry.things(kind).items():
            # Other tests enter classes of their own.
            if thing.__module__.startswith("leaps_triton."):
                found.add(name)
    return found


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute as the files were made: the order of sums follows the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def warning_of(name: str) -> AbstractContextManager[Any]:
    """Expect the warning of a file whose moves are older than their rest, else none."""
    if named(manifest_of(FILES / name)) & {"Metropolis", "Wolff"}:
        return pytest.warns(lt.NotErgodicWarning, match="earlier version has no rest of")
    return nullcontext()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_loads_and_goes_on_to_the_same_numbers(name: str, tmp_path: Path) -> None:
    entry = EXPECTED[name]
    file = Path(shutil.copy(FILES / name, tmp_path))
    tolerance = entry["tolerance"]
    with warning_of(name):
        found = going_on(file, entry["kind"], entry["settings"])
    expected = entry["numbers"]
    assert expected.keys() <= found.keys()
    # Histories may tell more than they did.
    later = {f"history.{name}" for name in LATER}
    assert found.keys() - expected.keys() <= later
    for key in expected:
        if key in EXACT:
            assert found[key] == expected[key], key
            continue
        now = [float.fromhex(number) for number in found[key]]
        then = [float.fromhex(number) for number in expected[key]]
        assert now == pytest.approx(then, rel=tolerance, abs=tolerance), key


@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name]["kind"] == "sampler"])
def test_a_file_that_was_loaded_can_be_stored_again(name: str, tmp_path: Path) -> None:
    with warning_of(name):
        before = lt.load(FILES / name, device="cpu")
    # What is stored tells the rest, and warns of nothing.
    lt.save(before, tmp_path / name)
    after = lt.load(tmp_path / name, device="cpu")
    one = before.sample(2, seed=1)
    two = after.sample(2, seed=1)
    assert torch.equal(one.configurations, two.configurations)
    assert torch.equal(one.log_weights, two.log_weights)


def named(manifest: Any) -> set[str]:
    """Return every class that a manifest names, at any depth."""
    if isinstance(manifest, list):
        return set().union(*map(named, manifest))
    if not isinstance(manifest, dict):
        return set()
    own = {value for key, value in manifest.items() if key == "class"}
    return own.union(*map(named, manifest.values()))


def test_every_class_that_a_file_can_name_has_a_file() -> None:
    found = set().union(*(named(manifest_of(FILES / name)) for name in EXPECTED))
    assert nameable() - found == NEWER


def test_every_file_has_its_numbers() -> None:
    assert {file.name for file in FILES.iterdir()} == {*EXPECTED, "expected.json"}
    for name, entry in EXPECTED.items():
        for key in entry["numbers"].keys() - EXACT:
            numbers = entry["numbers"][key]
            assert all(math.isfinite(float.fromhex(number)) for number in numbers), (name, key)


def test_the_files_are_small_and_tell_nothing_of_a_machine() -> None:
    assert sum(file.stat().st_size for file in FILES.iterdir()) < 1_500_000
    for name in EXPECTED:
        assert "/" not in json.dumps(manifest_of(FILES / name)), name
