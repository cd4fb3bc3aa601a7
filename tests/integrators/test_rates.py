"""From network output to rates: what one evaluation yields."""

import pytest
import torch

import leaps_triton as lt
from helpers import all_rates, move_targets, random_network, small_models, states
from leaps_triton import rates


def test_in_rates_of_one_evaluation_are_out_rates_of_the_neighbours() -> None:
    """Q(x^m → x) = [-G_m(x)]_+ equals the rate of the inverse move at x^m.

    Local equivariance put to use.
    """
    for model in small_models().values():
        network, sites = random_network(model), model.lattice.sites
        x = states(model)
        with torch.no_grad():
            output = network(
                x, lt.AnnealingPath(model).conditions(torch.tensor(0.7, dtype=torch.float64))
            )
        out, back = torch.relu(output).flatten(1), rates.in_rates(output).flatten(1)
        shift, site = (
            torch.arange((model.q - 1) * sites) // sites + 1,
            torch.arange((model.q - 1) * sites) % sites,
        )
        inverse = (model.q - shift - 1) * sites + site
        neighbours = move_targets(model)
        assert torch.equal(back, out[neighbours, inverse])
        assert float(back.sum()) > 0


@pytest.mark.parametrize("gauge", ["plain", "heat_bath"])
def test_evaluate_puts_the_parts_together(gauge: str) -> None:
    model = lt.Ising((4, 5), beta=0.5, field=0.2)
    path, network = lt.AnnealingPath(model), random_network(model, gauge=gauge)
    x, t = (
        path.start.sample(torch.arange(6), seed=0),
        torch.linspace(0.1, 0.9, 6, dtype=torch.float64),
    )
    with torch.no_grad():
        made = rates.evaluate(path, network, x, t)
        output = network(x, path.conditions(t))
    energy, log_ratios = path.local_energy(x, t, torch.float64)
    out, inward = all_rates(rates.Evaluation(output, log_ratios, energy, gauge))
    torch.testing.assert_close(made.rates, out, rtol=1e-15, atol=0)
    assert torch.equal(made.energy, energy)
    kappa = (out - inward).flatten(1).sum(1)
    torch.testing.assert_close(made.corrector, kappa, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(made.exit_rate, made.rates.flatten(1).sum(1), rtol=1e-12, atol=1e-12)


def test_precision_follows_the_transport() -> None:
    model = lt.Ising((4, 4), beta=0.5)
    path, x = lt.AnnealingPath(model), torch.zeros(1, 4, 4, dtype=torch.int8)
    t = torch.tensor([0.5], dtype=torch.float64)
    network = lt.HollowConv(model, kernel_size=3)
    assert rates.evaluate(path, network, x, t).rates.dtype == torch.float32
    assert rates.evaluate(path, network.double(), x, t).rates.dtype == torch.float64

    def plain(configurations: torch.Tensor, conditions: lt.Conditions) -> torch.Tensor:
        assert conditions.t.dtype == torch.float32
        return torch.ones(1, 1, 4, 4)

    assert rates.evaluate(path, plain, x, t).exit_rate.item() == 16.0
