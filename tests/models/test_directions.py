"""One coupling per direction is the same model as the table that repeats it at every site."""

from typing import Any

import numpy as np
import pytest
import torch

import leaps_triton as lt

MODELS: dict[str, Any] = {
    "ising": lambda **given: lt.Ising(field=0.1, **given),
    "glass": lt.EdwardsAnderson,
    "potts": lambda **given: lt.Potts(q=3, **given),
    "clock": lambda **given: lt.Clock(q=3, **given),
    "pairs": lambda **given: lt.PairModel(bond_table=[[0.5, 0.1], [-0.3, 1.0]], **given),
}
MOVES = [lt.HeatBath(2), lt.Metropolis(2), lt.SwendsenWang(), lt.Wolff(), lt.KineticMonteCarlo()]


def both(name: str, shape: tuple[int, ...], coupling: Any, periodic: Any) -> tuple[Any, Any]:
    """The model with a coupling per direction, and with the whole table."""
    given = {"shape": shape, "beta": 0.5, "periodic": periodic}
    short = MODELS[name](coupling=coupling, **given)
    lengths = (1,) * len(shape)
    table = torch.tensor(coupling, dtype=torch.float64).view(-1, *lengths)
    whole = MODELS[name](coupling=table.expand(-1, *shape), **given)
    return short, whole


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("shape", "coupling", "periodic"),
    [
        ((3, 2), (1.0, 0.5), (True, False)),
        ((4,), (0.3,), True),
        ((2, 3, 2), (2.0, 0.0, -1.0), True),
    ],
)
def test_energies_moves_and_exact_values_agree(
    name: str, shape: tuple[int, ...], coupling: Any, periodic: Any
) -> None:
    short, whole = both(name, shape, coupling, periodic)
    walkers = torch.arange(6)
    x = lt.AnnealingPath(short).start.sample(walkers, seed=1)
    assert torch.allclose(short.energy(x), whole.energy(x), atol=1e-12)
    assert torch.allclose(short.energy_change(x), whole.energy_change(x), atol=1e-12)
    if short.q == 2:
        assert lt.exact.log_z(short) == pytest.approx(lt.exact.log_z(whole), abs=1e-10)
    if short.symmetry == "":
        return
    for move in MOVES:
        ends = []
        for model in (short, whole):
            path = lt.AnnealingPath(model)
            state, _ = move.step(move.init(x, walkers), path, 1.0, 2)
            ends.append(state.configurations)
        assert torch.equal(*ends), move


@pytest.mark.parametrize("network", [lt.HollowConv, lt.LEC, lt.LEM, lt.LEA, lt.LocalRates])
def test_networks_are_told_the_coupling_of_each_direction(network: Any) -> None:
    short, whole = both("ising", (4, 6), (1.0, 0.5), True)
    options: dict[str, Any] = {"seed": 1}
    if network is lt.HollowConv:
        options["kernel_size"] = 3
    if network is lt.LEC:
        options["kernel_sizes"] = (3,)
    made = network(short, **options)
    x = lt.AnnealingPath(short).start.sample(torch.arange(3), seed=1)
    first, second = (made(x, lt.AnnealingPath(each).conditions(0.5)) for each in (short, whole))
    assert torch.allclose(first, second, atol=1e-6)


def test_it_is_told_and_stays(tmp_path: Any) -> None:
    coupling: Any = np.array([0.5, 1.0])[::-1]
    model = lt.Ising((4, 6), 0.3, coupling=coupling)
    assert "coupling=[1, 0.5]" in repr(model)
    assert model.coupling.shape == (2, 1, 1)
    assert torch.equal(model.at(0.7).coupling, model.coupling)
    sampler = lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(2), lt.HeatBath(), device="cpu")
    lt.save(sampler, tmp_path / "s.safetensors")
    loaded = lt.load(tmp_path / "s.safetensors", device="cpu").path.model
    assert torch.equal(loaded.coupling, model.coupling)
    # Equal directions are one coupling, which Kaufman's formula and tables of rates know.
    assert lt.Ising((4, 6), 0.3, coupling=(0.5, 0.5)).coupling.shape == (1, 1, 1)
    with pytest.raises(ValueError, match=r"one a direction.* got \(3,\)"):
        lt.Ising((4, 6), 0.3, coupling=(1.0, 0.5, 0.5))


def test_two_crossed_chains() -> None:
    """Without coupling in one direction a torus is independent rings, Z = ((2c)^L + (2s)^L)^M."""
    model = lt.Ising((6, 4), 0.7, coupling=(1.0, 0.0))
    c, s = 2 * np.cosh(0.7), 2 * np.sinh(0.7)
    assert lt.exact.log_z(model) == pytest.approx(4 * np.log(c**6 + s**6), abs=1e-10)
    with pytest.raises(ValueError, match="coupling must be a finite number"):
        lt.exact.ising_log_z((6, 4), 0.7, (1.0, 0.0))  # type: ignore[arg-type]
