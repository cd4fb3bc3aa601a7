"""The twin of enter_intervals against what it is made of: energies, and a difference of β."""

import pytest
import torch

from leaps_triton import kernels
from leaps_triton.kernels.energies.cases import entering, model
from leaps_triton.kernels.energies.entering import enter_intervals


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("q", [2, 3])
def test_walkers_without_time_left_enter_the_next_interval(q: int, backward: bool) -> None:
    given = entering(model((3, 4), (True, False), q, 12), backward)
    made = enter_intervals(**given)
    tables = [given[name] for name in ("coupling", "bond_table", "site_table", "periodic")]
    energies = kernels.energy(given["configurations"], *tables).energy
    betas = given["betas"]
    for walker in range(12):
        before = int(given["interval"][walker])
        enters = float(given["remaining"][walker]) == 0.0
        enters &= before >= 0 if backward else before < 4
        assert bool(made.entered[walker]) == enters
        if not enters:
            assert made.log_weights[walker] == given["log_weights"][walker]
            assert made.interval[walker] == before
            assert made.remaining[walker] == given["remaining"][walker]
            continue
        after = before - 1 if backward else before + 1
        # A is that of the path run forward, whichever way the walker goes.
        gain = (betas[before + 1] - betas[after + 1]) * energies[walker]
        if backward:
            gain = -gain
        assert int(made.interval[walker]) == after
        expected = given["log_weights"][walker] + gain
        torch.testing.assert_close(made.log_weights[walker], expected, rtol=1e-14, atol=1e-14)
        inside = 0 <= after < 4
        assert float(made.remaining[walker]) == (float(given["lengths"][after]) if inside else 0.0)


@pytest.mark.parametrize("name", ["betas", "lengths", "remaining", "interval", "log_weights"])
def test_arguments_that_do_not_fit_are_refused(name: str) -> None:
    given = entering(model((3, 4), (True, False), 2, 12))
    with pytest.raises(ValueError, match="must"):
        enter_intervals(**(given | {name: given[name].repeat(2)}))
    with pytest.raises(ValueError, match="must be torch"):
        enter_intervals(**(given | {name: given[name].float()}))
