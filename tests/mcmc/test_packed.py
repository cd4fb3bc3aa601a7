"""Moves that sweep 32 spins a word: which models can, which do, and that runs and files keep it."""

from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.io import checkpoint, parts
from leaps_triton.mcmc import settled
from leaps_triton.models.interactions.packed import layout_of, obstacle

SIGNS = torch.where(torch.arange(32).view(2, 4, 4) % 3 == 0, -0.5, 0.5)
FIELD = torch.linspace(0.0, 1.0, 16).view(4, 4)


class Sweeping(lt.Ising):
    """Sweeps of its own."""

    def heat_bath(self, configurations: Any, beta: Any, plan: Any) -> Any:
        return configurations


CANNOT: dict[str, tuple[Any, str]] = {
    "three states": (lt.Potts((4, 4), 3, 1.0), "two states, got q=3"),
    "three directions": (lt.Ising((4, 4, 4), 0.2), "must be .L, W., periodic, with even lengths"),
    "odd": (lt.Ising((4, 5), 0.4), r"even lengths, got shape=\(4, 5\)"),
    "open": (lt.Ising((4, 4), 0.4, periodic=(True, False)), "periodic"),
    "couplings": (lt.Ising((4, 4), 0.4, coupling=[1.0, 0.5]), "differ in sign alone"),
    "fields": (lt.Ising((4, 4), 0.4, field=FIELD), "the same at all sites"),
    "table": (lt.PairModel((4, 4), 0.4, [[1.0, 0.0], [0.0, 0.5]]), "equal from opposite states"),
    "sweeps of its own": (Sweeping((4, 4), 0.4), "an energy or sweeps of its own"),
}

CAN: dict[str, Any] = {
    "ising": lt.Ising((4, 4), 0.4),
    "field": lt.Ising((4, 6), 0.4, field=0.3),
    "antiferromagnet by direction": lt.Ising((4, 4), 0.4, coupling=[1.0, -1.0]),
    "signs": lt.Ising((4, 4), 0.4, coupling=SIGNS),
    "glass": lt.EdwardsAnderson((4, 4), beta=1.0, disorder="pm1", seed=0),
    "two states of Potts": lt.Potts((4, 4), 2, 1.0),
    "long rows": lt.Ising((2, 64), 0.4, field=-0.2),
}


@pytest.mark.parametrize("name", CANNOT)
def test_models_that_cannot(name: str) -> None:
    model, message = CANNOT[name]
    assert layout_of(model, 1024) == ""
    with pytest.raises(ValueError, match=f"packed=True .*{message}.*take packed=None"):
        lt.run_chain(model, lt.HeatBath(packed=True), 64, 2, device="cpu")
    chain = lt.run_chain(model, lt.HeatBath(), 64, 2, device="cpu")
    assert chain.move == lt.HeatBath(packed=False)


def test_other_energies_cannot() -> None:
    class Own:
        shape = (4, 4)
        q = 2
        beta = 0.3
        lattice = lt.Lattice((4, 4))

        def energy(self, configurations: Any) -> Any:
            return configurations.flatten(1).double().sum(1)

    assert "is no PairModel" in obstacle(Own())
    chain = lt.run_chain(Own(), lt.Metropolis(), 64, 2, device="cpu")
    assert chain.move == lt.Metropolis(packed=False)


@pytest.mark.parametrize("name", CAN)
@pytest.mark.parametrize("move", [lt.HeatBath, lt.Metropolis])
def test_words_and_bytes_have_one_law(name: str, move: Any) -> None:
    """Mean energies of independent chains, at 4 sigma: a false alarm in 16000 each."""
    model = CAN[name]
    assert obstacle(model) == ""
    layouts = ["walkers", False]
    if model.shape[1] == 64:
        layouts.append("rows")
    found = []
    for layout in layouts:
        made = move(packed=layout)
        chain: Any = lt.run_chain(model, made, 512, 20, burn_in=20, device="cpu")
        assert chain.move.packed == layout
        means = chain.values["energy"].mean(1)
        found.append((float(means.mean()), float(means.var() / len(means))))
    for mean, variance in found[1:]:
        assert abs(mean - found[0][0]) < 4.0 * (variance + found[0][1]) ** 0.5


def test_the_rule() -> None:
    """By model, shape and walkers of a block."""
    for shape, walkers, expected in (
        ((4, 4), 64, "walkers"),
        ((4, 4), 63, ""),
        ((64, 64), 64, "walkers"),
        ((64, 64), 63, "rows"),
        ((64, 66), 63, ""),
        ((256, 256), 1024, "rows"),
        ((128, 128), 64, "rows"),
        ((126, 128), 64, "walkers"),
        ((250, 250), 1024, "walkers"),
    ):
        assert layout_of(lt.Ising(shape, 0.4), walkers) == expected
    assert layout_of(lt.Ising((4, 4), 0.4), 2, asked=True) == "walkers"


def test_a_block_decides_and_not_a_call() -> None:
    """Samplers of one block are swept alike, however many walkers a call asks for."""
    path = lt.AnnealingPath(lt.Ising((4, 4), 0.4))
    for block, expected in ((64, "walkers"), (32, False)):
        sampler = lt.Sampler(path, None, lt.Jump(3), lt.HeatBath(), block=block, device="cpu")
        assert sampler.mcmc == lt.HeatBath(packed=expected)
        many = sampler.sample(200, seed=1)
        few = sampler.sample(10, seed=1)
        assert torch.equal(many.configurations[:10], few.configurations)
        assert torch.equal(many.log_weights[:10], few.log_weights)
        # Another block changes nothing once it is settled.
        other = sampler.with_block(128)
        assert other.mcmc == sampler.mcmc
        assert torch.equal(other.sample(200, seed=1).log_weights, many.log_weights)
        assert sampler.with_integrator(lt.Jump(2)).mcmc == sampler.mcmc


def test_moves_within_moves_are_settled() -> None:
    """Replicas count as walkers: all of them are moved at once."""
    model = lt.Ising((4, 4), 0.4)
    inner = lt.Compose(lt.Metropolis(2), lt.SwendsenWang())
    move = lt.ParallelTempering([0.5, 1.0], inner)
    words = lt.Compose(lt.Metropolis(2, packed="walkers"), lt.SwendsenWang())
    found = lt.run_chain(model, move, 32, 2, device="cpu")
    assert found.move == lt.ParallelTempering([0.5, 1.0], words)
    assert settled(move, model, None, 31).move.moves[0].packed is False
    assert settled(None, model, None, 64).moves[0].packed == "walkers"


def test_a_step_by_hand_is_one_of_bytes() -> None:
    """It knows no block; whoever asks for words has them."""
    path = lt.AnnealingPath(lt.Ising((4, 4), 0.4))
    walkers = torch.arange(80)
    begun = path.start.sample(walkers, seed=0)
    found = {}
    for packed in (None, False, True, "walkers"):
        move = lt.HeatBath(packed=packed)
        found[packed] = move.step(move.init(begun, walkers), path, 1.0, 3)[0].configurations
    assert torch.equal(found[None], found[False])
    assert torch.equal(found[True], found["walkers"])
    assert not torch.equal(found[True], found[False])
    back = lt.HeatBath(packed=True).reversed()
    after = back.step(back.init(begun, walkers), path, 1.0, 3)[0].configurations
    assert not torch.equal(after, found[True])


@pytest.mark.parametrize("packed", [1, "words", 0.5, []])
def test_no_choice(packed: Any) -> None:
    for move in (lt.HeatBath, lt.Metropolis):
        with pytest.raises(ValueError, match="packed must be None, True, False or one of walkers"):
            move(packed=packed)


def test_rows_take_whole_words() -> None:
    with pytest.raises(ValueError, match="rows of 4 sites are no whole words"):
        lt.run_chain(lt.Ising((4, 4), 0.4), lt.HeatBath(packed="rows"), 64, 2, device="cpu")


def test_files_keep_the_choice(tmp_path: Path) -> None:
    """And go on with it; one without it is one of bytes, for whoever names no other."""
    model = lt.Ising((4, 4), 0.4)
    options: dict[str, Any] = {"burn_in": 2, "seed": 3, "device": "cpu"}
    for packed, kept in ((None, "walkers"), (False, False)):
        file = tmp_path / f"{packed}.h5"
        whole = lt.run_chain(model, lt.HeatBath(packed=packed), 64, 20, **options)
        first = lt.io.run_chain(model, lt.HeatBath(packed=packed), 64, 10, file, **options)
        assert first.move == whole.move == lt.HeatBath(packed=kept)
        # Named again, and not: either goes on as the file does.
        for move, sweeps in ((lt.HeatBath(), 15), (None, 20)):
            longer = lt.io.run_chain(model, move, 64, sweeps, file, resume=True, **options)
        assert longer.move == whole.move
        assert torch.equal(longer.values["energy"], whole.values["energy"])
    with pytest.raises(ValueError, match="made with other settings"):
        lt.io.run_chain(
            model, lt.HeatBath(packed=True), 64, 30, tmp_path / "False.h5", resume=True, **options
        )


def test_weighted_files_keep_the_choice(tmp_path: Path) -> None:
    path = lt.AnnealingPath(lt.Ising((4, 4), 0.4))
    for packed in (None, False):
        file = tmp_path / f"{packed}.h5"
        move = lt.HeatBath(packed=packed)
        sampler = lt.Sampler(path, None, lt.Jump(3), move, block=64, device="cpu")
        whole = sampler.sample(128, seed=2)
        lt.io.sample(sampler, 64, file, seed=2)
        again = lt.Sampler(path, None, lt.Jump(3), lt.HeatBath(), block=64, device="cpu")
        longer = lt.io.sample(again, 128, file, seed=2, resume=True)
        assert torch.equal(longer.log_weights, whole.log_weights)


def test_what_files_say() -> None:
    for move in (lt.HeatBath(packed=False), lt.Metropolis(packed=False)):
        said = parts.describe_move(move)
        # What they said before there were words.
        assert "packed" not in said
        assert parts.rebuild_move(said) == move
    for packed in ("walkers", "rows", None):
        move = lt.Metropolis(packed=packed)
        assert parts.describe_move(move)["packed"] == packed
        assert parts.rebuild_move(parts.describe_move(move)) == move
    sampler = lt.Sampler(
        lt.AnnealingPath(lt.Ising((4, 4), 0.4)), None, mcmc=lt.HeatBath(), device="cpu"
    )
    assert checkpoint.describe(sampler).manifest["mcmc"]["packed"] == "walkers"
