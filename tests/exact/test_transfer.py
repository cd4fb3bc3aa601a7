"""Laws of the transfer matrix: enumeration, Kaufman, energies, and independent exact samples.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor

from helpers import false_alarm, small_models
from leaps_triton import exact
from leaps_triton.exact import messages, transfer
from leaps_triton.exact.transfer import transfer_moments, transfer_obstacle, transfer_sample
from leaps_triton.models import Clock, EdwardsAnderson, Ising, PairModel, Potts


def bonds(*shape: int) -> Tensor:
    """Couplings of both signs, no two alike."""
    index = torch.arange(len(shape) * math.prod(shape), dtype=torch.float64)
    return 1.3 * (2.3 * index + 0.4).sin().view(len(shape), *shape)


def skew(shape: tuple[int, ...], q: int, periodic: bool | tuple[bool, ...]) -> PairModel:
    """Return a model without any symmetry.

    Its table is not symmetric, and every bond and site has another coupling and field.
    """
    table = torch.linspace(-1.0, 0.8, q * q, dtype=torch.float64).cos().view(q, q) * torch.arange(
        1.0, q + 1
    )
    field = (
        torch.linspace(-0.9, 1.1, q * math.prod(shape), dtype=torch.float64).tan().view(q, *shape)
    )
    return PairModel(shape, 0.6, table, field, bonds(*shape), periodic)


SHAPES_1D = [(2,), (3,), (7,)]
SHAPES_2D = [(2, 2), (2, 3), (3, 2), (3, 3), (2, 5), (4, 3)]
CASES = [
    *(skew(shape, q, p) for shape in SHAPES_1D for q in (2, 3) for p in (True, False)),
    *(skew(shape, 2, p) for shape in SHAPES_2D for p in itertools.product((True, False), repeat=2)),
    *(
        skew(shape, 3, p)
        for shape in ((2, 2), (2, 3), (4, 2))
        for p in itertools.product((True, False), repeat=2)
    ),
    *(skew((2, 2, 3), 2, p) for p in itertools.product((True, False), repeat=3)),
    skew((3, 2, 2), 2, (True, False, True)),
    skew((2, 2, 2, 2), 2, (True, False, False, True)),
    skew((1, 4), 2, (False, True)),
    skew((4, 1), 3, (True, False)),
    skew((1, 1), 3, False),
    skew((1,), 4, False),
    Potts((4,), q=7, beta=1.3),
    Clock((3, 2), q=4, beta=0.9, periodic=(True, False)),
    *small_models().values(),
]


def identity(model: PairModel) -> str:
    lattice = model.lattice
    periodic = "".join("po"[not p] for p in lattice.periodic)
    return f"{type(model).__name__}-{'x'.join(map(str, lattice.shape))}-{periodic}-q{model.q}"


@pytest.mark.parametrize("as_logarithms", [False, True])
@pytest.mark.parametrize("model", CASES, ids=identity)
def test_equals_enumeration(
    model: PairModel, as_logarithms: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``log Z``, ``⟨H⟩`` and ``var H``, along each direction, whatever the messages are kept as."""
    if as_logarithms:
        monkeypatch.setattr(messages, "_SPREAD", -1.0)
    enumeration = exact.enumerate_model(model)
    mean, square = enumeration.mean(
        lambda x, m: torch.stack([m.energy(x), m.energy(x) ** 2], dim=1), model
    ).tolist()
    for axis in range(model.lattice.ndim):
        monkeypatch.setattr(messages, "best_direction", lambda model, axis=axis: axis)
        assert transfer_moments(model).log_z == pytest.approx(enumeration.log_z, abs=1e-11)
    moments = transfer_moments(model, energies=True)
    assert moments.log_z == pytest.approx(enumeration.log_z, abs=1e-11)
    assert moments.energy == pytest.approx(mean, abs=1e-11)
    assert moments.variance == pytest.approx(square - mean**2, abs=1e-9)


@pytest.mark.parametrize("size", [8, 12])
def test_equals_kaufman(size: int) -> None:
    assert transfer_moments(Ising((size, size), 0.4407)).log_z == pytest.approx(
        exact.ising_log_z((size, size), 0.4407), abs=1e-9
    )


@pytest.mark.parametrize("shape", [(8, 6), (5, 9)])
def test_energies_equal_kaufman(shape: tuple[int, int]) -> None:
    model, sites = Ising(shape, 0.4407), math.prod(shape)
    moments = transfer_moments(model, energies=True)
    assert moments.energy / sites == pytest.approx(exact.ising_energy(shape, 0.4407), abs=1e-12)
    heat = model.beta**2 * moments.variance / sites
    assert heat == pytest.approx(exact.ising_specific_heat(shape, 0.4407), abs=1e-11)


def test_potts_at_its_critical_point() -> None:
    model = Potts((6, 6), 3, math.log1p(math.sqrt(3.0)))
    assert transfer_moments(model).log_z == pytest.approx(75.5719518002, abs=6e-11)


@pytest.mark.parametrize("periodic", [True, (True, False)])
def test_a_gauge_transformation_changes_nothing(periodic: bool | tuple[bool, bool]) -> None:
    """``J_ij → ε_i J_ij ε_j`` changes nothing.

    This holds signs and places of all bonds, on a lattice too large for enumeration.
    """
    shape = (7, 9)
    sign = 1.0 - 2.0 * (torch.arange(63).view(shape) * 5 % 7 % 2).double()
    coupling = bonds(*shape)
    turned = torch.stack([sign * c * sign.roll(-1, axis) for axis, c in enumerate(coupling)])
    values = [
        transfer_moments(EdwardsAnderson(shape, 0.8, coupling=c, periodic=periodic)).log_z
        for c in (coupling, turned)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-13)
    assert (
        transfer_moments(EdwardsAnderson(shape, 0.8, coupling=coupling.abs())).log_z > values[0] + 1
    )


def test_an_open_direction_is_taken_where_it_is_cheaper() -> None:
    """A cylinder of 5 × 20 along its open side has ``2^5`` states, and along the ring ``2^40``."""
    model = Ising((5, 20), 0.5, periodic=(True, False))
    spins = 2.0 * torch.cartesian_prod(*[torch.arange(2, dtype=torch.float64)] * 5) - 1.0
    row = 0.5 * (spins * spins.roll(1, dims=1)).sum(1)
    vector = row
    for _ in range(19):
        vector = row + torch.logsumexp(0.5 * spins @ spins.T + vector, dim=1)
    assert transfer_moments(model).log_z == pytest.approx(
        float(torch.logsumexp(vector, 0)), rel=1e-13
    )
    assert exact.log_z(model) == transfer_moments(model).log_z


@pytest.mark.parametrize("beta", [30.0, 1e3])
def test_strong_coupling_does_not_underflow(beta: float) -> None:
    """Ground states alone are left.

    There are two of the ferromagnet, and one where a strong field breaks the tie late.
    """
    assert transfer_moments(Ising((5, 6), beta)).log_z == pytest.approx(
        60 * beta + math.log(2), rel=1e-14
    )
    field = torch.zeros(5, 6)
    field[4, 5] = 300.0
    model = Ising((5, 6), beta, field=-field, coupling=bonds(5, 6).abs(), periodic=False)
    down = torch.zeros(1, 5, 6, dtype=torch.int8)
    assert transfer_moments(model).log_z == pytest.approx(
        -beta * model.energy(down).item(), rel=1e-13
    )
    assert transfer_moments(model, energies=True).energy == pytest.approx(
        model.energy(down).item(), rel=1e-13
    )
    assert torch.equal(transfer_sample(model, 5, seed=0), down.expand(5, 5, 6))


@pytest.mark.parametrize("beta", [0.0, -0.7])
def test_beta_of_any_sign(beta: float) -> None:
    model = Ising((3, 4), beta, field=0.3, periodic=(False, True))
    assert transfer_moments(model).log_z == pytest.approx(
        exact.enumerate_model(model).log_z, abs=1e-12
    )


SAMPLED = {
    "cylinder": skew((3, 3), 2, (False, True)),
    "torus": skew((3, 3), 2, True),
    "open": skew((2, 4), 2, False),
    "potts": skew((3, 2), 3, (True, False)),
    "potts torus": skew((2, 2), 4, True),
    "ring": skew((6,), 3, True),
    "cube": skew((2, 2, 2), 2, (False, True, True)),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_follow_the_law(name: str) -> None:
    model = SAMPLED[name]
    assert false_alarm(transfer_sample(model, 40000, seed=1), model) > 1e-4
    assert false_alarm(exact.sample(model, 40000, seed=2), model) > 1e-4
    tables = (model.bond_table, model.site_table, model.coupling, model.lattice.periodic)
    other = PairModel(model.lattice.shape, 1.1 * model.beta, *tables)
    assert false_alarm(transfer_sample(other, 40000, seed=1), model) < 1e-8


@pytest.mark.parametrize("as_logarithms", [False, True])
def test_samples_where_messages_must_be_logarithms(
    as_logarithms: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = transfer_sample(SAMPLED["torus"], 2000, seed=3)
    monkeypatch.setattr(messages, "_SPREAD", -1.0 if as_logarithms else 300.0)
    assert torch.equal(transfer_sample(SAMPLED["torus"], 2000, seed=3), expected)


@pytest.mark.parametrize(
    "model",
    [
        EdwardsAnderson((7, 8), 0.9, disorder="gaussian", seed=4, field=0.1),
        Ising((6, 9), 0.45, periodic=(True, False)),
        Potts((5, 6), 3, 0.95, periodic=False),
    ],
    ids=repr,
)
def test_samples_of_larger_lattices(model: PairModel) -> None:
    """Mean and variance of the energy, against the transfer matrix; thresholds of 4 sigma."""
    n = 20000
    energy = model.energy(exact.sample(model, n, seed=5))
    _, mean, variance = transfer_moments(model, energies=True)
    assert abs(float(energy.mean()) - mean) < 4 * math.sqrt(variance / n)
    square = (energy - mean) ** 2
    assert abs(float(square.mean()) - variance) < 4 * float(square.std()) / math.sqrt(n)


@pytest.mark.parametrize(
    "model", [SAMPLED["torus"], EdwardsAnderson((6, 5), 0.9)], ids=["few", "many"]
)
def test_samples_do_not_depend_on_how_many(
    model: PairModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = exact.sample(model, 300, seed=6)
    assert x.dtype == torch.int8 and x.shape == (300, *model.lattice.shape) and x.is_contiguous()
    assert torch.equal(exact.sample(model, 17, seed=6), x[:17])
    assert not torch.equal(exact.sample(model, 300, seed=7), x)
    monkeypatch.setattr(transfer, "_KEPT", 2**12)
    assert torch.equal(transfer_sample(model, 300, seed=6), transfer_sample(model, 300, seed=6))


class _Shifted(Ising):
    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        return super().energy(configurations, check) + 1.0


def test_samples_of_what_has_an_energy_only() -> None:
    model = _Shifted((3, 5), 0.3, field=0.2)
    x = exact.sample(model, 20000, seed=8)
    mean = exact.energy(model) * 15
    energy = model.energy(x)
    assert abs(float(energy.mean()) - mean) < 4 * float(energy.std()) / math.sqrt(len(x))


def test_what_is_refused() -> None:
    assert transfer_obstacle(Ising((13, 13), 0.4, field=0.1)) == ""
    assert "updates" in transfer_obstacle(Ising((14, 14), 0.4, field=0.1))
    assert "more than 1 GiB" in transfer_obstacle(Ising((20, 21), 0.4, periodic=False), keep=True)
    assert transfer_obstacle(Ising((20, 21), 0.4, periodic=False)) == ""
    assert (
        transfer_obstacle(Ising((4, 5), 0.4), updates=5119)
        == "it needs 20 * 2**8 updates of messages, more than 5119"
    )
    with pytest.raises(ValueError, match=r"more than 2\*\*10; enumeration is out"):
        exact.log_z(EdwardsAnderson((5, 5), 0.4), updates=2**10)
    for model, reason in (
        (Ising((16, 16), 0.4), "updates of messages.*coupling_from_the_past"),
        (Ising((20, 21), 0.4, periodic=False), "more than 1 GiB"),
        (_Shifted((8, 8), 0.4), "not a PairModel"),
    ):
        with pytest.raises(ValueError, match=f"no exact route to samples.*{reason}"):
            exact.sample(model, 10)
    with pytest.raises(ValueError, match="n must be an integer from 1"):
        exact.sample(Ising((2, 2), 0.4), 0)
    with pytest.raises(ValueError, match="seed must be an integer"):
        exact.sample(Ising((2, 2), 0.4), 1, seed=-1)
