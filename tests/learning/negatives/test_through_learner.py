"""Negative phases in a learner: files go on to the last bit, witnesses and replays tell log Z."""

from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.learning import (
    Annealed,
    Exact,
    FromData,
    Jarzynski,
    Learner,
    MaximumLikelihood,
    MeanField,
    Persistent,
)

MODEL = lt.Ising((3, 3), 1.5, coupling=0.2, field=0.1)
DATA = lt.exact.sample(MODEL, 200, seed=4)
NEGATIVES: dict[str, Any] = {
    "exact": Exact(),
    "from data": FromData(sweeps=2, walkers=50),
    "persistent": Persistent(walkers=50),
    "annealed": Annealed(walkers=50, intervals=4),
    "jarzynski": Jarzynski(walkers=60, witnesses=60, mcmc=lt.Metropolis(), resample_below=0.999),
    "without witnesses": Jarzynski(walkers=60),
}


def learner(negative: Any) -> Learner:
    objective = MaximumLikelihood(negative)
    return Learner(MODEL, DATA, objective, field="site", steps=6, learning_rate=0.2, seed=2)


@pytest.mark.parametrize("name", NEGATIVES)
def test_a_file_goes_on_to_the_last_bit(name: str, tmp_path: Path) -> None:
    whole = learner(NEGATIVES[name]).run()
    first = learner(NEGATIVES[name])
    first.run(until=3)
    first.save(tmp_path / "half.lt")
    second = learner(NEGATIVES[name])
    second.resume(tmp_path / "half.lt")
    found = second.run()
    assert torch.equal(found.thetas, whole.thetas)
    assert (found.witnesses is None) == (name != "jarzynski")
    if found.witnesses is None or whole.witnesses is None:
        return
    assert found.witnesses.resamplings.sum() > 0
    assert torch.equal(found.witnesses.configurations, whole.witnesses.configurations)
    assert torch.equal(found.witnesses.log_weights, whole.witnesses.log_weights)
    assert torch.equal(found.witnesses.ess_trace, whole.witnesses.ess_trace)


def test_witnesses_and_replays_tell_log_z() -> None:
    objective = MaximumLikelihood(Jarzynski(walkers=100, witnesses=400))
    found = Learner(MODEL, DATA, objective, field="site", steps=40, learning_rate=0.1, seed=3).run()
    exact = lt.exact.log_z(found.model)
    replay = found.replay(walkers=400, mcmc=lt.Metropolis(), seed=3)
    # Three sigma each, a false alarm of 0.5 % with a fixed seed.
    for ensemble in (found.witnesses, replay):
        assert ensemble is not None
        assert abs(ensemble.log_z - exact) < 3.0 * ensemble.log_z_error < 0.3
        assert len(ensemble.times) == 40
        energy = ensemble.estimate(lt.observables.energy)
        wanted = lt.exact.expectation(found.model, lt.observables.energy)
        assert abs(energy.pull(float(wanted))) < 4.0
    assert found.model.beta == 1.5


def test_a_given_model_is_where_walkers_start() -> None:
    """At couplings from which walkers are drawn exactly, and nothing is learned."""
    objective = MaximumLikelihood(Jarzynski(walkers=50, witnesses=50))
    still = Learner(MODEL, DATA, objective, start="model", steps=2, learning_rate=1e-12, seed=3)
    found = still.run()
    assert found.witnesses is not None
    assert abs(found.witnesses.log_z - lt.exact.log_z(MODEL)) < 1e-8
    assert found.witnesses.ess > 1.0 - 1e-9


MACHINES: dict[str, Any] = {
    "exact": Exact(),
    "persistent": Persistent(walkers=100),
    "from data": FromData(),
    "jarzynski": Jarzynski(walkers=100, witnesses=400),
    "mean field": MeanField(starts=20),
}


@pytest.mark.parametrize("name", MACHINES)
def test_machines_are_learned_by_every_negative_phase(name: str) -> None:
    """Two patterns of six units: the likelihood gains over independent units."""
    generator = torch.Generator().manual_seed(0)
    data = torch.zeros(100, 6, dtype=torch.int8)
    data[50:, :3] = 1
    data[:50, 3:] = 1
    weights = 0.1 * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    objective = MaximumLikelihood(MACHINES[name])
    machine = lt.RBM(weights)
    rate = 0.5
    least = -3.5
    if name == "mean field":
        # Once weights are large its solutions fall into one, which is one of the patterns.
        rate = 0.1
        least = -4.1
    settings: dict[str, Any] = {"start": "model", "steps": 60, "seed": 1}
    found = Learner(machine, data, objective, learning_rate=rate, **settings).run()
    log_z = lt.exact.log_z(found.model)
    gained = float(found.model.log_marginal(data).mean()) - log_z
    # Independent units have -4.16, two patterns alone -0.69.
    assert gained > least
    if found.witnesses is not None:
        assert abs(found.witnesses.log_z - log_z) < 3.0 * found.witnesses.log_z_error < 0.6
