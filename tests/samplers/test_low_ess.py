"""Ensembles that few walkers carry say so, once each, in memory, in files and in the table."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.report import summary

MODEL = lt.Ising((8, 8), beta=0.6)


def ensemble(walkers: int = 64, **options: Any) -> lt.WeightedEnsemble:
    """Importance sampling of a cold model from uniform walkers in one step: hopeless."""
    path = lt.AnnealingPath(MODEL)
    sampler = lt.Sampler(path, None, lt.Jump(1), lt.HeatBath(), device="cpu", **options)
    return sampler.sample(walkers, seed=1)


def ask_everything(found: Any) -> None:
    for name in ("energy", "binder", "specific_heat"):
        found.estimate(name)
    assert found.log_z_error > 0
    lt.estimators.free_energy(found)
    lt.estimators.entropy(found)


def test_a_low_ess_is_said_once_per_ensemble() -> None:
    found = ensemble()
    assert found.ess < 3 / 64 and not found.enough
    with pytest.warns(
        lt.LowEssWarning, match="of 64 walkers .* are effective and one walker"
    ) as said:
        ask_everything(found)
    assert len(said) == 1 and said[0].filename == __file__
    # Nothing is said before an error bar is asked for, and an equal ensemble has its own warning.
    other = ensemble()
    assert "ess=" in repr(other) and other.log_z == found.log_z
    with pytest.warns(lt.LowEssWarning):
        lt.estimators.free_energy(other)


def test_files_say_the_same(tmp_path: Path) -> None:
    sampler = lt.Sampler(
        lt.AnnealingPath(MODEL), None, lt.Jump(1), lt.HeatBath(), device="cpu", block=64
    )
    run = lt.io.sample(sampler, 64, tmp_path / "w.h5", seed=1, configurations=True)
    read = lt.io.read(tmp_path / "w.h5")
    for each in (run, read):
        with pytest.warns(lt.LowEssWarning, match="of 64 walkers") as said:
            ask_everything(each)
        assert len(said) == 1


def test_a_good_ensemble_says_nothing() -> None:
    path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.3))
    sampler = lt.Sampler(path, None, lt.Jump(20), lt.HeatBath(), device="cpu")
    good = sampler.sample(500, seed=1)
    table = summary.measure(good)
    assert good.enough and good.doubts == [] and table["cautions"] == []
    assert good.pareto_k < good.pareto_threshold == pytest.approx(1 - 1 / math.log10(500))
    assert f"Pareto k{good.pareto_k:31.2f}  (trusted up to 0.63)" in summary.render(table)


def test_the_table_has_k_and_one_caution() -> None:
    with pytest.warns(lt.LowEssWarning) as said:
        table = summary.measure(ensemble(640))
    assert len(said) == len(table["cautions"]) == 1
    assert table["pareto_k"] > table["pareto_threshold"]
    text = summary.render(table)
    assert "above 0.64: the tail of the weights is too heavy for error bars" in text
    assert text.count("caution: ") == 1 and table["cautions"][0] in text


def test_after_a_resampling_blocks_are_counted() -> None:
    one = ensemble(64, resample_below=0.9, block=64)
    assert one.correlated == 64 and not one.has_errors and one.doubts == []
    assert math.isnan(one.pareto_k) and math.isnan(one.log_z_error)
    table = summary.measure(one)
    text = summary.render(table)
    assert "ESS: of the weights since the last resampling" in text
    assert "Pareto k: it takes 25 independent blocks, and there are 1" in text
    assert "log Z: one walker, or one block of correlated ones, has no error bar" in text
    # Observables for one and the same reason share a line.
    assert "energy / site, |m|, susceptibility, specific heat, Binder cumulant: the 64 wal" in text
    assert "one block" in lt.estimators.free_energy(one).reason
    many = ensemble(64 * 30, resample_below=0.9, block=64)
    sums = torch.stack([part.exp().sum() for part in many.log_weights.split(64)])
    assert many.pareto_k == pytest.approx(lt.estimators.pareto_k(sums.log()), abs=1e-9)


def test_one_walker_of_all_weight_says_so() -> None:
    found = ensemble()
    weights = torch.full((64,), -1e6, dtype=torch.float64)
    weights[3] = 0.0
    alone = lt.WeightedEnsemble(**{**vars(found), "log_weights": weights})
    with pytest.warns(lt.LowEssWarning, match="one walker carries 100% of the weight"):
        energy = alone.estimate("energy")
    assert math.isnan(energy.error) and "has all the weight" in energy.reason
    assert "has all the weight" in lt.estimators.entropy(alone).reason
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lt.LowEssWarning)
        text = summary.render(summary.measure(alone))
    assert "log Z, energy / site, |m|, susceptibility, specific heat, Binder cumulant: one" in text


def test_chains_of_a_table_share_their_cautions() -> None:
    chain = lt.run_chain(MODEL, lt.HeatBath(), 4, 30, seed=1, device="cpu")
    with pytest.warns(lt.ShortChainWarning, match=r"energy: 30 draws a walker .* too\)") as said:
        table = summary.measure(chain)
    assert len({warning.category for warning in said}) == len(said) == len(table["cautions"])


def test_a_length_of_no_meaning_says_why() -> None:
    def length(means: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(means[..., 0] / means[..., 1])

    antiferromagnet = lt.Ising((6, 6), beta=0.4, coupling=-1.0)
    names = ["energy", "correlation_length"]
    chain = lt.run_chain(
        antiferromagnet, lt.HeatBath(), 16, 400, seed=2, observables=names, device="cpu"
    )
    found = chain.estimate("correlation_length")
    assert math.isnan(found.value) and "no finite value and slope at means (-" in found.reason
    text = summary.render(summary.measure(chain, names))
    assert f"correlation length: {found.reason}" in text
    x = lt.exact.sample(antiferromagnet, 200, seed=1)
    values = lt.observables.correlation_length(x, antiferromagnet)
    weighted = lt.estimators.weighted_estimate(values, torch.zeros(200), length)
    assert math.isnan(weighted.error) and "(5 of 200)" in weighted.reason


SHORT = ("ignore::leaps_triton.ShortChainWarning", "ignore::leaps_triton.DriftWarning")


@pytest.mark.filterwarnings(*SHORT)
@pytest.mark.parametrize("shape", [(4000,), (4, 1000)])
def test_reweighting_too_far_is_said(shape: tuple[int, ...]) -> None:
    model = lt.Ising((8, 8), beta=0.2)
    x = lt.exact.sample(model, 4000, seed=1)
    energies = model.energy(x).view(shape)
    near = lt.estimators.reweight(energies, energies, 0.2, 0.22)
    assert near.ess > 0.5 and near.reason == ""
    with pytest.warns(lt.LowEssWarning, match="simulate nearer to that inverse temperature"):
        lt.estimators.reweight(energies, energies, 0.2, 0.8)
    runs = [energies, energies + 1.0]
    with pytest.warns(lt.LowEssWarning):
        lt.estimators.multi_reweight(runs, runs, [0.2, 0.21], 0.8)


@pytest.mark.filterwarnings(*SHORT)
def test_steps_without_overlap_are_said() -> None:
    model = lt.Ising((8, 8), beta=0.2)
    hot = model.energy(lt.exact.sample(model, 2000, seed=1)).view(4, 500)
    energies = torch.stack([hot, hot + 1.0, hot - 60.0], dim=2)
    with pytest.warns(lt.LowEssWarning, match=r"from beta = 0.21 to 0.9: of .* set temperatures"):
        lt.estimators.stepping_stones(energies, [0.2, 0.21, 0.9])


def test_bins_of_an_overlap_share_their_warnings() -> None:
    glass = lt.EdwardsAnderson((4, 4), beta=0.9, seed=1)
    chain = lt.run_chain(glass, lt.HeatBath(), 4, 40, observables=["overlap"], device="cpu")
    with pytest.warns(lt.estimators.CautionWarning) as said:
        lt.estimators.overlap_distribution(chain.values["overlap"])
    kinds = [warning.category for warning in said]
    assert len(kinds) == len(set(kinds)) and "the overlap: " in str(said[0].message)
