"""The base of all results: chains answer what tables, figures and commands ask."""

import math

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.estimators import Result, chain_estimate
from leaps_triton.estimators.autocorrelation import examine

MODEL = lt.Ising((4, 4), 0.3)
NAMES = ["energy", "binder", "correlation"]


def run(sweeps: int, keep: bool = False) -> lt.Chain:
    return lt.run_chain(
        MODEL, lt.HeatBath(), 8, sweeps, 1, 2, 5, NAMES, device="cpu", keep_configurations=keep
    )


def test_a_chain_is_a_result() -> None:
    chain = run(400, keep=True)
    assert isinstance(chain, Result) and not chain.weighted
    assert chain.names == ["energy", "binder"] and list(chain.values) == NAMES
    assert chain.drawn is chain.kept and run(4).drawn is None
    assert chain.diagnostics == {} and chain.has_errors and chain.enough
    assert chain.name_of("energy") == chain.name_of(lt.observables.energy) == "energy"
    assert chain.name_of(lambda x, model: x) is None
    assert set(chain.estimate("energy").details) == {"tau", "tau_error", "window"}
    with pytest.raises(ValueError, match="observable must be a function of configurations"):
        chain.name_of(3)  # type: ignore[arg-type]


def test_repr_says_what_a_person_wants() -> None:
    chain = run(400)
    slowest = max(chain.names, key=lambda name: chain.estimate(name).tau)
    tau = chain.estimate(slowest).tau
    said = repr(chain)
    assert said.startswith("Chain(Ising(shape=(4, 4)") and "move=HeatBath(sweeps=1" in said
    assert f"walkers=8, draws=400, tau={tau:.3g} ({slowest})" in said
    assert repr(run(3)).endswith("walkers=8, draws=3)")


def test_a_short_chain_says_so() -> None:
    short = run(20)
    assert short.has_errors and not short.enough
    assert "20 draws a walker are fewer than 50 autocorrelation times" in short.shortage
    least = run(3)
    assert not least.has_errors and not least.enough and "too few for error bars" in least.shortage


def test_examining_gives_no_warning_and_the_same_numbers() -> None:
    def ratio(means: Tensor) -> Tensor:
        return means[..., 0] / means[..., 1]

    # Slow cycles, of other phases in each walker.
    t = torch.arange(60.0) / 9.0 + torch.arange(4.0).unsqueeze(1)
    values = torch.stack([2.0 + t.sin(), 3.0 + t.cos()], dim=2)
    estimate, reasons = examine(values, ratio)
    assert reasons
    with pytest.warns(lt.ShortChainWarning) as said:
        warned = chain_estimate(values, ratio)
    assert [str(warning.message) for warning in said] == [str(doubt) for doubt in reasons]
    assert (estimate.value, estimate.error, estimate.tau) == (
        warned.value,
        warned.error,
        warned.tau,
    )
    still, none = examine(torch.ones(2, 10))
    assert none == [] and still.error == 0.0 and math.isnan(still.tau)
