"""Every kernel variant compiled for real GPUs: no spills, and the table of resources holds."""

import csv
import os
from pathlib import Path

import pytest

triton = pytest.importorskip("triton")

from leaps_triton.kernels.compiled import resources  # noqa: E402

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1",
    reason="the interpreter cannot compile; unset TRITON_INTERPRET",
)

FILE = Path(__file__).parents[3] / "experiments" / "results" / "kernel_resources.csv"
REMEDY = "run python experiments/gpu/kernel_resources.py"

VARIANTS = resources.variants()
OTHERS = resources.others()
CASES = [(name, resources.TARGET) for name in VARIANTS]
CASES += [(name, target) for name in OTHERS for target in resources.OTHER_TARGETS]


def committed() -> dict[tuple[str, str], dict[str, str]]:
    with FILE.open(newline="", encoding="utf-8") as file:
        return {(row["kernel"], row["target"]): row for row in csv.DictReader(file)}


TABLE = committed()


def test_the_committed_table_has_every_variant_and_no_other() -> None:
    assert sorted(TABLE) == sorted(CASES), REMEDY


@pytest.mark.parametrize(("name", "target"), CASES)
def test_variant_compiles_without_spills(name: str, target: str) -> None:
    found = resources.measure(VARIANTS[name], target)
    assert found.spills == 0
    row = TABLE[name, target]
    if row["triton"] == triton.__version__:
        used = {column: str(value) for column, value in found._asdict().items()}
        # Instructions have a budget of their own.
        del used["instructions"], used["fences"]
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
