"""Learning goes on from files to the last bit, and what it refuses."""

from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.learning import Learned, NetworkEnergy, choose_l1
from leaps_triton.learning.families import family_of

SMALL = lt.Ising((3, 3), 0.7)
DATA = lt.exact.sample(lt.Ising((3, 3), 0.3), 100)


def by_weights() -> lt.Learner:
    objective = lt.MaximumLikelihood(lt.Jarzynski(30, witnesses=40), batch=90)
    return lt.Learner(SMALL, DATA, objective, steps=20, learning_rate=0.1, decay=True)


def by_conditionals() -> lt.Learner:
    objective = lt.PseudoLikelihood(l1=0.02, refit=True)
    return lt.Learner(SMALL, DATA, objective, field="site", steps=30, held_out=0.2)


def by_noise() -> lt.Learner:
    data = lt.exact.sample(lt.Potts((2, 3), 3, 0.3), 50)
    objective = lt.EnergyDiscrepancy("cyclic", negatives=3)
    model = lt.Potts((2, 3), 3, 0.7)
    return lt.Learner(model, data, objective, "uniform", steps=20, optimizer="adam", held_out=0.2)


@pytest.mark.parametrize("make", [by_weights, by_conditionals, by_noise])
def test_resume_is_bit_for_bit(make, tmp_path):
    whole = make().run()
    file = tmp_path / "learning.safetensors"
    make().run(until=9, checkpoint=file)
    second = make()
    second.resume(file)
    learned = second.run(checkpoint=file)
    assert torch.equal(learned.thetas, whole.thetas)
    assert learned.history == whole.history
    again = lt.load(file)
    assert torch.equal(again.theta, whole.theta)
    assert again.history == whole.history
    lt.save(whole, tmp_path / "result.safetensors")
    stored = lt.load(tmp_path / "result.safetensors")
    assert torch.equal(stored.thetas, whole.thetas)
    if whole.witnesses is not None:
        assert stored.witnesses.log_z == learned.witnesses.log_z == whole.witnesses.log_z


def test_files_of_another_learning_are_refused(tmp_path):
    file = tmp_path / "learning.safetensors"
    by_conditionals().run(until=3, checkpoint=file)
    other = lt.Learner(SMALL, DATA, lt.PseudoLikelihood(l1=0.03), field="site", held_out=0.2)
    with pytest.raises(ValueError, match="is of another learning"):
        other.resume(file)
    with pytest.raises(ValueError, match="exists; resume it first"):
        by_conditionals().run(checkpoint=file)


def test_extending():
    learner = by_weights()
    learner.run()
    learner.extend(25, learning_rate=0.01)
    assert len(learner.run().thetas) == 26
    with pytest.raises(ValueError, match="steps"):
        learner.extend(25)


def test_start_is_independent_sites():
    learner = lt.Learner(SMALL, DATA, lt.PseudoLikelihood(), field="site")
    model = learner.family.at(learner.first)
    assert not bool(model.coupling.any())
    up = DATA.double().mean(0)
    # Half a row of each state is counted too.
    wanted = (100.0 * up + 0.5) / 101.0
    chance = torch.sigmoid(2.0 * model.beta * model.site_table[1])
    assert torch.allclose(chance, wanted, atol=1e-12)


@pytest.mark.parametrize("visible", [6, 2])
def test_means_of_machines_are_exact(visible):
    generator = torch.Generator().manual_seed(0)
    family = family_of(lt.RBM(torch.randn(visible, 4, generator=generator), beta=0.8))
    shape = (family.parameters,)
    theta = torch.randn(shape, generator=generator, dtype=torch.float64)
    model = family.at(theta)
    states = lt.exact.enumerate_configurations((visible + 4,), 2)
    law = torch.softmax(-model.beta * model.energy(states), dim=0)
    wanted = family.moments(states, theta, law)
    found = family.exact_moments(theta)
    assert found is not None
    assert float((found - wanted).abs().max()) < 1e-12


def test_moments_are_slopes_of_energies():
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(9, 4), torch.nn.Softplus(), torch.nn.Linear(4, 1),
        torch.nn.Flatten(0),
    ).double()  # fmt: skip
    machine = family_of(lt.RBM(torch.randn(5, 3, generator=generator)))
    field = family_of(lt.PhiFour((2, 2), 1.0, 1.0, dtype="float64"))
    cases = [
        (machine, torch.randint(0, 2, (7, 8), generator=generator).to(torch.int8)),
        (field, torch.randn(7, 2, 2, generator=generator, dtype=torch.float64)),
    ]
    for family, x in cases:
        weights = torch.randn(7, generator=generator, dtype=torch.float64)
        size = family.parameters
        direction = torch.randn(size, generator=generator, dtype=torch.float64)
        ahead = family.u(x, family.theta + 1e-5 * direction)
        behind = family.u(x, family.theta - 1e-5 * direction)
        slope = float(weights @ (ahead - behind)) / 2e-5
        assert abs(slope + float(family.moments(x, family.theta, weights) @ direction)) < 1e-7
    assert NetworkEnergy(network, (3, 3), 2).theta.shape == (4 * 9 + 4 + 4 + 1,)


def test_networks_get_configurations_in_their_own_type():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 1), torch.nn.Flatten(0))
    configurations = torch.ones(2, 3, 3, dtype=torch.int8)
    single = NetworkEnergy(network, (3, 3), q=2).energy(configurations)
    double = NetworkEnergy(network.double(), (3, 3), q=2).energy(configurations)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-6)


def test_networks_learn():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 1), torch.nn.Flatten(0))
    # A field alone, which a linear energy can tell.
    data = lt.exact.sample(lt.Ising((3, 3), 1.0, coupling=0.0, field=0.4), 400, seed=1)
    objective = lt.MaximumLikelihood(lt.Exact())
    model = NetworkEnergy(network, (3, 3), q=2)
    learner = lt.Learner(model, data, objective, steps=60, learning_rate=0.5)
    learned = learner.run()
    x = lt.exact.enumerate_configurations((3, 3), 2)
    law = torch.softmax(-learned.model.energy(x), dim=0)
    means = torch.tensordot(law, x.double(), dims=1)
    assert float((means - data.double().mean(0)).abs().max()) < 0.01


def linear(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 1), torch.nn.Flatten(0))


def by_module(seed: int = 0) -> lt.Learner:
    objective = lt.MaximumLikelihood(lt.Jarzynski(20, witnesses=20))
    model = NetworkEnergy(linear(seed), (3, 3), q=2, beta=0.5)
    return lt.Learner(model, DATA, objective, steps=6, learning_rate=0.1, optimizer="adam")


def test_modules_go_on_from_files(tmp_path):
    """Whatever the parameters of the new module are: those of the file count."""
    whole = by_module().run()
    file = tmp_path / "learning.safetensors"
    by_module().run(until=4, checkpoint=file)
    second = by_module(seed=1)
    second.resume(file)
    assert torch.equal(second.run(checkpoint=file).thetas, whole.thetas)
    again = Learned.load(file, linear(2))
    assert torch.equal(again.thetas, whole.thetas)
    assert again.witnesses is not None and whole.witnesses is not None
    assert again.witnesses.log_z == whole.witnesses.log_z
    assert torch.equal(again.model.energy(DATA), whole.model.energy(DATA))
    network = again.model.load()
    assert torch.equal(network(DATA.float()), again.model.energy(DATA).float())


def test_modules_are_asked_for(tmp_path):
    file = tmp_path / "result.safetensors"
    lt.save(by_module().run(until=1), file)
    with pytest.raises(ValueError, match=r"module of your own \(Sequential\).*Learned.load\("):
        lt.load(file)
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 2))
    with pytest.raises(ValueError, match="must have the parameters of the file's Sequential"):
        Learned.load(file, other)
    lt.save(by_conditionals().run(until=1), file)
    with pytest.raises(ValueError, match="is not of a module's energy"):
        Learned.load(file, linear(0))


def test_penalty_is_chosen():
    chosen = choose_l1(SMALL, DATA, strengths=(1.0, 0.01))
    assert chosen.l1 == 0.01
    assert chosen.kept[0] < chosen.kept[1]


def test_what_is_refused():
    word: Any = "pseudo-likelihood"
    with pytest.raises(ValueError, match="objective"):
        lt.Learner(SMALL, DATA, word)
    with pytest.raises(ValueError, match="nothing is left to learn"):
        lt.Learner(SMALL, DATA, lt.PseudoLikelihood(), coupling=None)
    with pytest.raises(ValueError, match="beta of a model that is learned"):
        lt.Learner(lt.Ising((3, 3), 0.0), DATA, lt.PseudoLikelihood())
    with pytest.raises(ValueError, match="configurations"):
        lt.Learner(SMALL, 2 * DATA.float() - 1, lt.PseudoLikelihood())
    for part in (0.001, 0.9999):
        with pytest.raises(ValueError, match=r"held_out must be .*a row of"):
            lt.Learner(SMALL, DATA, lt.PseudoLikelihood(), held_out=part)
    # 256 as int8 would be the state 0.
    for rows in (256.0 * DATA, 256 * DATA.int(), 1e300 * DATA.double()):
        with pytest.raises(ValueError, match="data must be whole numbers, the states 0 … q-1"):
            lt.Learner(SMALL, rows, lt.PseudoLikelihood())
