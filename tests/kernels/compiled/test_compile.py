"""Every kernel variant compiled for real GPUs, and the table of what each may use."""

import csv
import os
from pathlib import Path

import pytest

triton = pytest.importorskip("triton")

from leaps_triton.kernels.compiled import resources  # noqa: E402
from leaps_triton.kernels.compiled.compiling import fingerprint  # noqa: E402

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1",
    reason="the interpreter cannot compile; unset TRITON_INTERPRET",
)

FILE = Path(__file__).parents[3] / "experiments" / "results" / "kernel_resources.csv"
REMEDY = "run python experiments/gpu/kernel_resources.py"

VARIANTS = resources.variants()
OTHERS = resources.others()
CASES = resources.cases()

FIRST: dict[object, str] = {}
"""The first variant of each kernel, by its function: it is compiled in every run of the tests."""
for _name, _variant in VARIANTS.items():
    FIRST.setdefault(_variant.kernel.fn, _name)

BUDGET = 1.1
"""By how much a variant's instructions may grow before its row has to be written again."""


def committed() -> dict[tuple[str, str, str], dict[str, str]]:
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {(row["kernel"], row["target"], row["triton"]): row for row in rows}


TABLE = committed()
VERSIONS = sorted({version for _, _, version in TABLE})


@pytest.mark.parametrize("version", VERSIONS)
def test_the_committed_table_has_every_variant_and_no_other(version: str) -> None:
    found = [(name, target) for name, target, made in TABLE if made == version]
    assert sorted(found) == sorted(CASES), f"{REMEDY} with Triton {version}"


@pytest.mark.parametrize("version", VERSIONS)
def test_no_version_spills(version: str) -> None:
    """The table is all that says so of another version than the one at hand."""
    rows = {key: row for key, row in TABLE.items() if key[2] == version}
    assert [key for key, row in rows.items() if (row["spills"], row["fences"]) != ("0", "0")] == []


@pytest.mark.parametrize(("name", "target"), CASES)
def test_variant_uses_what_its_row_says(name: str, target: str) -> None:
    """No local memory, no growth, no fence of the whole device; all from one compilation.

    A row that was measured of the very same lines, options and compiler holds without another; one
    variant of each kernel is compiled nevertheless.
    """
    row = TABLE.get((name, target, triton.__version__))
    known = row is not None and row["source"] == fingerprint(VARIANTS[name], target)
    if known and (target != resources.TARGET or name not in FIRST.values()):
        return
    found = resources.measure(VARIANTS[name], target)
    assert found.spills == 0
    assert found.fences == 0
    if row is None:
        assert triton.__version__ not in VERSIONS, REMEDY
        return
    assert found.instructions <= BUDGET * int(row["instructions"]), REMEDY
    used = {column: str(value) for column, value in found._asdict().items()}
    del used["instructions"]
    assert used == {column: row[column] for column in used}, REMEDY


def test_every_kernel_is_compiled_for_every_target() -> None:
    kernels = {variant.kernel.fn.__name__ for variant in VARIANTS.values()}
    assert kernels and {VARIANTS[name].kernel.fn.__name__ for name in OTHERS} == kernels


def test_nothing_is_specialised_on_values() -> None:
    """Values are no constants of the compiler, or a row of the table would be many kernels."""
    for variant in VARIANTS.values():
        for parameter in variant.kernel.params:
            number = parameter.annotation_type != ""
            # Of a tensor it is known where it begins.
            assert parameter.is_constexpr or parameter.do_not_specialize == number
            assert parameter.is_constexpr == (parameter.name in variant.constants)
        assert list(variant.signature) == [parameter.name for parameter in variant.kernel.params]
