"""Benchmarks: nothing wrong is timed, and work is counted right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from leaps_triton import kernels
from leaps_triton.bench import agreement, measure, run
from leaps_triton.bench import cases as chosen
from leaps_triton.bench.agreement import Disagreement
from leaps_triton.bench.measure import Ceilings
from leaps_triton.bench.timing import read_rows
from leaps_triton.kernels import reference
from leaps_triton.kernels.class_jumps.cases import EVENTS
from leaps_triton.kernels.inputs import random
from leaps_triton.kernels.inputs.case import Case
from leaps_triton.kernels.inputs.families import OF_FIELDS
from leaps_triton.kernels.site_sweeps import reference as twins
from leaps_triton.kernels.site_sweeps.cases import SWEEPS

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
LIMITS = Ceilings(copy=10.0, philox=0.5)


def case(
    op: str, model: str = "potts3", shape: tuple[int, ...] = (4, 6), walkers: int = 5, seed: int = 0
) -> Case:
    return chosen.make_case(op, model, shape, walkers, seed, CPU)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ceilings", lambda *_: LIMITS)


@pytest.fixture
def with_kernels(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces public ops, as kernels on a GPU would."""

    def replace(**ops: Any) -> None:
        monkeypatch.setattr(kernels, "backend", lambda device: "kernels of a test")
        for name, op in ops.items():
            monkeypatch.setattr(kernels, name, op)

    return replace


def off(op: str, result: int, change: Callable[[torch.Tensor], object]) -> Callable[..., Any]:
    """The twin of ``op`` with one of its results changed."""

    def wrong(**arguments: Any) -> Any:
        value = getattr(reference, op)(**arguments)
        results = [r.clone() for r in ((value,) if isinstance(value, torch.Tensor) else value)]
        change(results[result])
        return results[0] if isinstance(value, torch.Tensor) else tuple(results)

    return wrong


def last(value: float) -> Callable[[torch.Tensor], object]:
    return lambda tensor: tensor.view(-1)[-1:].add_(value)


@pytest.mark.parametrize("op", chosen.OPS)
def test_the_public_op_agrees_with_its_twin_at_any_block_size(
    op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = case(op)
    # Two walkers of 24 sites at a time, so that five need three blocks.
    monkeypatch.setattr(random, "BLOCK", 2 * 24)
    blocked = case(op)
    for name, value in whole.arguments.items():
        assert (
            torch.equal(value, blocked.arguments[name]) if isinstance(value, torch.Tensor) else True
        )
    results = agreement.check(blocked, "kernel", getattr(kernels, op))
    twin = whole.run(getattr(reference, op))
    if op in chosen.ROUNDED:
        return torch.testing.assert_close(results, twin, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(results, twin, strict=True))


@pytest.mark.parametrize("op", chosen.OPS)
def test_inputs_follow_the_seed(op: str) -> None:
    tensors = [
        [r.double() for r in case(op, seed=seed).run(getattr(reference, op))] for seed in (3, 3, 4)
    ]
    assert all(torch.equal(a, b) for a, b in zip(tensors[0], tensors[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(tensors[0], tensors[2], strict=True))


def test_about_half_of_the_walkers_jump() -> None:
    move = case("jump_step", walkers=400).run(reference.jump_step)[3]
    assert 0.3 < (move >= 0).double().mean() < 0.8


@pytest.mark.parametrize(
    ("op", "result", "change"),
    [
        ("philox", 2, last(1)),
        ("energy", 0, last(1e-6)),
        ("energy", 1, last(1)),
        ("local_energy", 0, last(1e-6)),
        ("local_energy", 1, last(1e-3)),
        ("local_energy", 1, last(float("nan"))),
        ("proposal_rates", 0, last(1e-3)),
        ("proposal_rates", 2, last(1e-2)),
        ("proposal_rates_gradient", 0, last(1e-3)),
        ("tau_leap_log_probability", 0, last(1e-6)),
        ("tau_leap_log_probability_gradient", 0, last(1e-3)),
        ("jump_step", 0, last(1)),
        ("jump_step", 1, last(1e-6)),
        ("jump_step", 3, last(1)),
        ("local_jump_steps", 0, last(1)),
        ("local_jump_steps", 1, last(1e-6)),
        ("local_jump_steps", 3, last(1)),
        ("tau_leap_step", 0, last(1)),
        ("tau_leap_step", 1, last(1e-6)),
        ("heat_bath_sweeps", 0, last(1)),
        ("metropolis_sweeps", 0, last(1)),
        ("overrelaxation_sweeps", 0, last(1)),
        ("cluster_labels", 0, last(1)),
        ("hollow_conv", 0, last(1e-1)),
    ],
)
def test_a_wrong_kernel_is_not_timed(
    op: str,
    result: int,
    change: Callable[[torch.Tensor], object],
    with_kernels: Callable[..., None],
    quick: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_kernels(**{op: off(op, result, change)})
    with pytest.raises(
        Disagreement, match=rf"^{op}.*kernel and twin differ in 1 of \d+ numbers of result {result}"
    ):
        measure.measure(case(op), CPU, LIMITS, compiled=False, budget=0.0)
    if op != "energy":
        return
    table = tmp_path / "kernels.csv"
    with pytest.raises(SystemExit) as caught:
        run.main(["--op", op, "--smoke", "--device", "cpu", "--output", str(table)])
    assert isinstance(caught.value.code, str)
    assert "kernel and twin differ" in caught.value.code
    assert "and 2 cases more" in caught.value.code
    assert {row.variant for row in read_rows(table)} == {"ceiling"}
    assert "kernel and twin differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("op", "law"),
    [
        ("heat_bath_sweeps", "heat_bath_probabilities"),
        ("metropolis_sweeps", "metropolis_acceptance"),
    ],
)
def test_sweeps_may_round_their_thresholds_and_no_more(
    op: str, law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thresholds off by 0.005 stand in for a last bit: rounding is then what lies below 0.01."""
    exact = getattr(twins, law)
    twin = getattr(reference, op)

    def rounded(**arguments: Any) -> torch.Tensor:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(twins, law, lambda *tables: exact(*tables) + 5e-3)
            made: torch.Tensor = twin(**arguments)
            return made

    def wrong(**arguments: Any) -> torch.Tensor:
        return torch.cat([rounded(**arguments)[:-1], arguments["configurations"][-1:]])

    def twice(**arguments: Any) -> torch.Tensor:
        return rounded(**arguments | {"sweeps": max(2, arguments["sweeps"])})

    given = case(op, walkers=40)
    with pytest.raises(Disagreement):
        agreement.check(given, "kernel", rounded)
    monkeypatch.setattr(agreement, "ROUNDING", 1e-2)
    # Seven walkers at a time.
    monkeypatch.setattr(random, "BLOCK", 7 * 24)
    (found,) = agreement.check(given, "kernel", rounded)
    assert not torch.equal(found, given.run(twin)[0])
    for function in (wrong, twice):
        with pytest.raises(Disagreement):
            agreement.check(given, "kernel", function)


def test_a_result_of_another_shape_or_left_unwritten_is_not_timed() -> None:
    with pytest.raises(Disagreement, match="shapes"):
        agreement.check(
            case("energy"), "kernel", lambda **_: (torch.zeros(5, 1), torch.zeros(5, 3))
        )
    with pytest.raises(Disagreement, match="differ in 5 of 5 numbers of result 0, by inf"):
        agreement.check(
            case("energy"),
            "kernel",
            lambda **_: (torch.empty(5, dtype=torch.float64), torch.empty(5, 3, dtype=torch.int64)),
        )


def test_checking_leaves_the_settings_of_torch() -> None:
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    agreement.check(case("energy"), "kernel", kernels.energy)
    after = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    assert after == before


def test_a_right_kernel_is_compared_with_twin_and_copy(with_kernels: Callable[..., None]) -> None:
    with_kernels(heat_bath_sweeps=lambda **arguments: reference.heat_bath_sweeps(**arguments))
    rows, notes = measure.measure(case("heat_bath_sweeps"), CPU, LIMITS, compiled=False, budget=0.0)
    found = {(row.variant, row.metric): row for row in rows}
    assert {variant for variant, _ in found} == {"kernel", "twin"}
    assert notes == []
    seconds = {variant: found[variant, "seconds"].value for variant in ("kernel", "twin")}
    assert found["kernel", "seconds"][6:9] == (
        seconds["kernel"],
        "twin",
        seconds["twin"] / seconds["kernel"],
    )
    assert found["twin", "seconds"][7:9] == ("", None)
    assert (
        found["kernel", "seconds_p20"].value
        <= seconds["kernel"]
        <= found["kernel", "seconds_p80"].value
    )
    bandwidth = found["kernel", "GB_per_s"]
    flips = found["kernel", "flips_per_ns"]
    assert bandwidth.ratio == pytest.approx(bandwidth.value / 10.0)
    assert flips.value == pytest.approx(SWEEPS * 5 * 24 / seconds["kernel"] * 1e-9)
    assert flips.baseline == "philox"
    assert flips.ratio == pytest.approx(flips.value / 0.5)


def test_philox_is_counted_in_words() -> None:
    rows, _ = measure.measure(case("philox"), CPU, LIMITS, compiled=False, budget=0.0)
    found = {row.metric: row.value for row in rows}
    assert found["words_per_ns"] == pytest.approx(5 * 24 / found["seconds"] * 1e-9)
    assert found["ns_per_word"] == pytest.approx(1 / found["words_per_ns"])


def test_a_compiled_twin_that_differs_is_left_out_with_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "_compiled", lambda op: off(op, 0, last(1)))
    rows, notes = measure.measure(
        case("jump_step", "ising"), CPU, LIMITS, compiled=True, budget=0.0
    )
    assert {row.variant for row in rows} == {"kernel", "twin"}
    assert len(notes) == 1
    assert "compiled and twin differ in 1 of" in notes[0]


@pytest.mark.skipif(not measure.has_compiler(), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_compiled_twin_gives_the_same() -> None:
    rows, notes = measure.measure(case("energy", "ising"), CPU, LIMITS, compiled=True, budget=0.0)
    assert {row.variant for row in rows} == {"compiled", "kernel", "twin"}
    assert notes == []


def test_most_walkers_make_all_events_and_some_sites_leap() -> None:
    given = case("local_jump_steps", shape=(6, 5), walkers=400)
    made = given.run(reference.local_jump_steps)[3] - given.arguments["events"]
    assert 0.8 < (made == EVENTS).double().mean() < 1.0
    given = case("tau_leap_step", walkers=400)
    moved = given.run(reference.tau_leap_step)[0] != given.arguments["configurations"]
    assert 0.1 < moved.double().mean() < 0.2


def test_a_twin_that_is_no_single_graph_is_not_compiled() -> None:
    rows, notes = measure.measure(
        case("cluster_labels", "ising"), CPU, LIMITS, compiled=True, budget=0.0
    )
    assert {row.variant for row in rows} == {"kernel", "twin"} and notes == []


def test_bytes_are_those_of_inputs_and_results() -> None:
    """``w`` walkers, ``n`` sites, ``q`` states, ``c`` couplings."""
    w = 5
    n = 24
    q = 3
    c = 48
    tables = 8 * (q * q + q)
    expected = {
        "philox": 8 * (n // 4 + w) + 4 * 8 * w * n // 4,
        "energy": w * n + tables + 8 + 8 * w + 8 * w * q,
        "local_energy": w * n + tables + 8 + 8 + 8 * w + 4 * w * (q - 1) * n,
        "proposal_rates": 3 * 4 * w * (q - 1) * n + 2 * 8 * w,
        "proposal_rates_gradient": 4 * 4 * w * (q - 1) * n + 2 * 8 * w,
        "tau_leap_log_probability": 2 * w * n + 4 * w * (q - 1) * n + 2 * 8 * w,
        "tau_leap_log_probability_gradient": 2 * w * n + 2 * 4 * w * (q - 1) * n + 2 * 8 * w,
        "jump_step": 2 * w * n + 4 * w * (q - 1) * n + 8 * 8 * w,
        "tau_leap_step": 2 * w * n + 4 * w * (q - 1) * n + 4 * 8 * w,
        "heat_bath_sweeps": 2 * w * n + tables + 8 + 8 + n + 8 * w,
        "metropolis_sweeps": 2 * w * n + tables + 8 + 8 + n + 8 * w,
        "overrelaxation_sweeps": 2 * w * n + tables + 8 + 8 + n + 8 * w,
        "cluster_labels": 2 * w * n + 8 * w * n,
        "lattice_action": 4 * w * n + 2 * 8 + 8 * w,
        "action_and_force": 2 * 4 * w * n + 2 * 8 + 8 * w,
        "site_potential": 4 * w * n + 2 * 8 + 8 * w,
        "normals": 4 * w * n + 8 * w,
    }
    for op, count in expected.items():
        given = case(op)
        assert given.bytes_moved(given.run(getattr(reference, op))) == count, op
    glass = case("energy", "pm1")
    assert (
        glass.bytes_moved(glass.run(reference.energy))
        == w * n + 8 * (2 * 2 + 2) + 8 * c + 8 * w + 8 * w * 2
    )


def test_operations_words_and_flips_grow_with_the_work() -> None:
    for op in chosen.OPS:
        one = case(op, walkers=4)
        two = case(op, walkers=8)
        assert (two.operations, two.words, two.flips) == (
            2 * one.operations,
            2 * one.words,
            2 * one.flips,
        )
        assert one.operations > 0
    for op in ("heat_bath_sweeps", "overrelaxation_sweeps"):
        assert case(op).words == case(op).flips == SWEEPS * 5 * 24
    for model, words in (("ising", 1), ("potts3", 2)):
        sweeps = case("metropolis_sweeps", model)
        assert sweeps.words == words * sweeps.flips == words * SWEEPS * 5 * 24


def test_every_op_and_model_is_measured() -> None:
    for smoke in (True, False):
        found = chosen.cases(chosen.OPS, CPU, smoke)
        models = {
            op: {""} for op in ("philox", "local_jump_steps", "hollow_conv", "hollow_conv_gradient")
        }
        models |= {f"packed_{move}_sweeps": {""} for move in ("heat_bath", "metropolis")}
        models |= {op: {""} for family in OF_FIELDS for op in family.OPS}
        # Two states have no reflections.
        models["overrelaxation_sweeps"] = {"potts3"}
        models["graph_overrelaxation_sweeps"] = {"potts3"}
        assert {(op, model) for op, model, _, _ in found} == {
            (op, model) for op in chosen.OPS for model in models.get(op, chosen.MODELS)
        }
    assert {shape for _, _, shape, _ in found} == {(15, 15), (16, 16), (64, 64)}


def test_some_walkers_are_compared_and_all_are_returned() -> None:
    """The twin sees the first walkers alone, and what has nothing by walker as a whole."""
    given = chosen.make_case("local_energy", "potts3", (4, 4), 9, 0, torch.device("cpu"))
    energy, log_ratios = agreement.check_some(given, "kernel", kernels.local_energy, 2)
    assert len(energy) == len(log_ratios) == 9

    def wrong(row: int) -> Any:
        def function(**arguments: Any) -> Any:
            found = kernels.local_energy(**arguments)
            found[0][row] += 1.0
            return found

        return function

    agreement.check_some(given, "kernel", wrong(2), 2)
    with pytest.raises(Disagreement, match="2 walkers: kernel and twin differ in 1 of 2"):
        agreement.check_some(given, "kernel", wrong(1), 2)
    layer = chosen.make_case("hollow_conv_gradient", "", (3, 3), 2, 0, torch.device("cpu"))
    assert agreement.check_some(layer, "kernel", kernels.hollow_conv_gradient, 1)
