"""Input of models that is refused: what was expected and what came."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaps_triton.models import Clock, EdwardsAnderson, Ising, PairModel, Potts

NAN, INF = math.nan, math.inf
EYE = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("maker", "changes", "message"),
    [
        (Ising, {"shape": (4, 1)}, r"direction 1 is periodic with length 1.*\(4, 1\)"),
        (Ising, {"shape": (4.5, 4)}, r"tuple of integers.*got \(4.5, 4\)"),
        (Ising, {"shape": "44"}, "tuple of integers.*got '44'"),
        (Ising, {"shape": (3, 0)}, r"at least 1, got shape \(3, 0\)"),
        (Ising, {"shape": (2,) * 5}, "1 to 4 dimensions, got"),
        (Ising, {"periodic": (True,)}, r"periodic must be a bool or 2 bools.*got \(True,\)"),
        (Ising, {"periodic": 0}, r"periodic must be a bool or 2 bools.*got 0"),
        (Potts, {"q": 3, "periodic": (1, 1)}, r"periodic must be a bool or 2 bools.*got \(1, 1\)"),
        (Ising, {"beta": NAN}, "beta must be a finite number, got nan"),
        (Ising, {"beta": -INF}, "beta must be a finite number, got -inf"),
        (Ising, {"beta": "hot"}, "beta must be a finite number, got 'hot'"),
        (Clock, {"q": 3, "beta": None}, "beta must be a finite number, got None"),
        (Ising, {"beta": torch.ones(2)}, "beta must be a finite number, got a tensor"),
        (Ising, {"beta": 10**400}, "beta must be a finite number, got 1000"),
        (Potts, {"q": 1}, "q must be an integer from 2 to 127, got 1"),
        (Potts, {"q": 128}, "q must be an integer from 2 to 127, got 128"),
        (Potts, {"q": 3.0}, "q must be an integer from 2 to 127, got 3.0"),
        (Clock, {"q": "3"}, "q must be an integer from 2 to 127, got '3'"),
        (PairModel, {"bond_table": [[1.0]]}, "q must be 2 to 127, got a bond_table of 1 rows"),
        (
            PairModel,
            {"bond_table": torch.eye(128)},
            "q must be 2 to 127, got a bond_table of 128 rows",
        ),
        (PairModel, {"bond_table": 1.0}, r"bond_table must be a \(q, q\) table, got 1.0"),
        (
            PairModel,
            {"bond_table": [[1.0, 0.0]] * 3},
            r"bond_table must have shape \(3, 3\).*got \(3, 2\)",
        ),
        (
            PairModel,
            {"bond_table": [[1.0, 0.0], [0.0]]},
            r"bond_table must be numbers of shape \(2, 2\)",
        ),
        (
            PairModel,
            {"bond_table": [[1.0, 0.0], [INF, 0.0]]},
            r"bond_table must be finite.*index \[1, 0\]",
        ),
        (
            PairModel,
            {"bond_table": EYE, "site_table": [0.0] * 3},
            r"site_table must have shape \(2,\).*got \(3,\)",
        ),
        (
            PairModel,
            {"bond_table": EYE, "site_table": [0.0, NAN]},
            r"site_table must be finite.*index \[1\]",
        ),
        (
            PairModel,
            {"bond_table": EYE, "site_table": "up"},
            "site_table must be numbers.*got 'up'",
        ),
        (
            PairModel,
            {"bond_table": EYE, "site_table": torch.zeros(4, 3, 2)},
            r"site_table must have shape \(2, 4, 3\).*got \(4, 3, 2\)",
        ),
        (
            PairModel,
            {"bond_table": EYE, "spins": torch.ones(2)},
            r"spins must have shape \(2, n\).*\(2,\)",
        ),
        (
            PairModel,
            {"bond_table": EYE, "spins": torch.ones(3, 1)},
            r"spins must have shape \(2, n\).*\(3, 1\)",
        ),
        (PairModel, {"bond_table": EYE, "spins": [[NAN], [1.0]]}, "spins must be finite"),
        (
            Ising,
            {"coupling": torch.full((2, 4, 3), NAN)},
            r"coupling must be finite.*index \[0, 0, 0\]",
        ),
        (Ising, {"coupling": INF}, "coupling must be finite"),
        (
            Ising,
            {"coupling": torch.ones(4, 3)},
            r"coupling must have shape \(2, 4, 3\).*got \(4, 3\)",
        ),
        (
            Ising,
            {"coupling": torch.ones(2, 3, 4)},
            r"coupling must have shape \(2, 4, 3\).*got \(2, 3, 4\)",
        ),
        (
            Ising,
            {"coupling": "strong"},
            r"coupling must be numbers of shape \(2, 4, 3\).*got 'strong'",
        ),
        (
            Potts,
            {"q": 3, "coupling": [1.0, 1.0, 1.0]},
            r"coupling must have shape \(2, 4, 3\).*got \(3,\)",
        ),
        (
            EdwardsAnderson,
            {"coupling": torch.ones(1, 4, 3)},
            r"coupling must have shape \(2, 4, 3\).*got \(1, 4, 3\)",
        ),
        (Ising, {"field": torch.ones(4)}, r"field must have shape \(4, 3\).*got \(4,\)"),
        (Ising, {"field": NAN}, "field must be finite"),
        (Ising, {"field": [[1.0], [NAN]]}, r"field must have shape \(4, 3\).*got \(2, 1\)"),
        (Potts, {"q": 3, "field": [0.0, 1.0]}, r"must have shape \(3,\).*got \(2,\)"),
        (
            EdwardsAnderson,
            {"disorder": "cauchy"},
            "disorder must be 'pm1' or 'gaussian', got 'cauchy'",
        ),
        (EdwardsAnderson, {"seed": -1}, r"seed must be an integer in \[0, 2\*\*32\), got -1"),
        (
            EdwardsAnderson,
            {"seed": 2**32},
            r"seed must be an integer in \[0, 2\*\*32\), got 4294967296",
        ),
        (EdwardsAnderson, {"seed": 1.0}, r"seed must be an integer in \[0, 2\*\*32\), got 1.0"),
        (EdwardsAnderson, {"seed": None}, r"seed must be an integer in \[0, 2\*\*32\), got None"),
    ],
)
def test_arguments_that_are_refused(maker: Any, changes: dict[str, Any], message: str) -> None:
    arguments = {"shape": (4, 3), "beta": 0.4} | changes
    with pytest.raises(ValueError, match=message):
        maker(**arguments)


@pytest.mark.parametrize("method", ["energy", "energy_change"])
@pytest.mark.parametrize(
    ("configurations", "message"),
    [
        (torch.zeros(2, 4, 3), "tensor of torch.int8, got torch.float32; convert with"),
        (
            torch.zeros(2, 4, 3, dtype=torch.int64),
            "tensor of torch.int8, got torch.int64; convert with",
        ),
        ([[0, 1]], "tensor of torch.int8, got list"),
        (torch.zeros(4, 3, dtype=torch.int8), r"shape \(walkers, 4, 3\), got \(4, 3\)"),
        (torch.zeros(2, 3, 4, dtype=torch.int8), r"shape \(walkers, 4, 3\), got \(2, 3, 4\)"),
        (torch.zeros(2, 1, 4, 3, dtype=torch.int8), r"shape \(walkers, 4, 3\), got \(2, 1, 4, 3\)"),
        (torch.full((2, 4, 3), 3, dtype=torch.int8), "values 0 to 2, got 3 to 3"),
        (torch.arange(-1, 11, dtype=torch.int8).view(1, 4, 3), "values 0 to 2, got -1 to 10"),
    ],
)
def test_configurations_that_are_refused(method: str, configurations: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(Potts((4, 3), 3, 0.4), method)(configurations)


def test_no_walkers_have_no_energies() -> None:
    model = Potts((4, 3), 3, 0.4)
    assert model.energy(torch.zeros(0, 4, 3, dtype=torch.int8)).shape == (0,)
    assert model.energy_change(torch.zeros(0, 4, 3, dtype=torch.int8)).shape == (0, 2, 4, 3)


@settings(max_examples=40)
@given(value=st.integers(-128, 127), site=st.integers(0, 11))
def test_a_state_is_taken_or_refused_by_its_range(value: int, site: int) -> None:
    configurations = torch.zeros(2, 12, dtype=torch.int8)
    configurations[1, site] = value
    model = Potts((4, 3), 3, 0.4)
    if 0 <= value < 3:
        model.check(configurations.view(2, 4, 3))
    else:
        with pytest.raises(ValueError, match="values 0 to 2, got"):
            model.check(configurations.view(2, 4, 3))


@settings(max_examples=40)
@given(shape=st.lists(st.integers(1, 3), max_size=4))
def test_a_coupling_is_taken_or_refused_by_its_shape(shape: list[int]) -> None:
    coupling = torch.ones(shape)
    # A number, one per direction, one per direction and site.
    if shape in ([], [2], [2, 3, 2]):
        assert (
            Ising((3, 2), 0.4, coupling).energy(torch.ones(1, 3, 2, dtype=torch.int8)).item()
            == -12.0
        )
    else:
        with pytest.raises(ValueError, match=r"coupling must have shape \(2, 3, 2\)"):
            Ising((3, 2), 0.4, coupling)
