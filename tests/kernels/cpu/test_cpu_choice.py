"""What a CPU runs: kernels, or the twins where they are chosen or numba is missing; one result."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leaps_triton.kernels import registration

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
import zlib
import torch
import leaps_triton as lt

assert "numba" not in sys.modules or sys.modules["numba"] is None
torch.manual_seed(0)
model = lt.Ising((4, 6), beta=0.4, field=0.1, periodic=(True, False))
path = lt.AnnealingPath(model)
walkers = torch.arange(5)
results = []
for move in (lt.HeatBath(2), lt.Metropolis(2), lt.SwendsenWang(2), lt.Wolff(2), lt.Houdayer()):
    state = move.init(path.start.sample(walkers, seed=3)[: 4], walkers[: 4])
    for _ in range(3):
        state, info = move.step(state, path, 1.0, seed=5)
    results += [state.configurations, info.changed]
sampler = lt.Sampler(path, lt.LocalRates(model), integrator=lt.Jump(4), block=8)
ensemble = sampler.sample(8, seed=1, progress=False)
results += [ensemble.configurations, ensemble.log_weights]
for result in results:
    print(zlib.crc32(result.contiguous().numpy().tobytes()))
print(lt.kernels.backend(torch.device("cpu")))
"""


def run(tmp_path: Path, before: str = "", **environment: str) -> tuple[list[str], str, str]:
    """Return checksums of results, what ran, and what was written to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", before + PROGRAM],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *checksums, backend = done.stdout.splitlines()
    return checksums, backend, done.stderr


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    checksums, backend, errors = run(tmp_path_factory.mktemp("numba"))
    assert backend == "numba kernels on cpu"
    assert errors == ""
    return checksums


def test_twins_that_are_chosen_give_the_same(expected: list[str], tmp_path: Path) -> None:
    checksums, backend, _ = run(tmp_path, LEAPS_TRITON_CPU="twin")
    assert checksums == expected
    assert backend == "plain torch on cpu, since LEAPS_TRITON_CPU=twin"


def test_without_numba_the_twins_serve(expected: list[str], tmp_path: Path) -> None:
    checksums, backend, _ = run(tmp_path, "import sys; sys.modules['numba'] = None\n")
    assert checksums == expected
    assert "numba cannot be found" in backend


def test_a_numba_that_cannot_be_imported_is_told_of(expected: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "numba"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('needs another NumPy')")
    checksums, _, errors = run(tmp_path)
    assert checksums == expected
    assert errors.count("needs another NumPy") == 1


def test_another_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAPS_TRITON_CPU", "cuda")
    with pytest.raises(ValueError, match="LEAPS_TRITON_CPU must be numba or twin, got 'cuda'"):
        registration._cpu_kernels.__wrapped__()
