"""The ops energy and local_energy against a plain loop, with tables of each walker's own."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from leaps_triton import kernels

Site = tuple[int, ...]


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(
    shape: Site, q: int, walkers: int, periodic: tuple[bool, ...], own: bool = True, seed: int = 0
) -> dict[str, Any]:
    """Random input of the op, with tables of each walker's own or shared by all."""
    leading = walkers if own else 1
    generator = torch.Generator().manual_seed(seed)
    return {
        "configurations": torch.randint(
            q, (walkers, *shape), generator=generator, dtype=torch.int8
        ),
        "coupling": normal(leading, len(shape), *shape, seed=seed + 1),
        "bond_table": normal(q, q, seed=seed + 2),
        "site_table": normal(leading, q, *shape, seed=seed + 3),
        "beta": normal(leading, seed=seed + 4),
        "periodic": periodic,
    }


def loop_energy(
    x: Tensor, coupling: Tensor, bond_table: Tensor, site_table: Tensor, periodic: tuple[bool, ...]
) -> float:
    """``H`` of one walker, bond by bond."""
    energy = 0.0
    for site in itertools.product(*map(range, x.shape)):
        state = int(x[site])
        energy -= float(site_table[(state, *site)])
        for d, length in enumerate(x.shape):
            if site[d] + 1 < length or periodic[d]:
                neighbour = (*site[:d], (site[d] + 1) % length, *site[d + 1 :])
                energy -= float(coupling[(d, *site)] * bond_table[state, int(x[neighbour])])
    return energy


CASES: list[tuple[Site, int, tuple[bool, ...]]] = [
    ((5,), 3, (True,)),
    ((2,), 2, (True,)),
    ((4,), 5, (False,)),
    ((1, 3), 2, (False, True)),
    ((3, 2), 3, (True, True)),
    ((3, 4), 2, (False, True)),
    ((2, 2, 3), 3, (True, False, True)),
    ((3, 1, 2), 2, (True, False, True)),
    ((2, 1, 2, 3), 3, (True, False, False, True)),
    ((2, 3, 2, 2), 2, (True, True, False, True)),
]


@pytest.mark.parametrize(("shape", "q", "periodic"), CASES)
def test_equals_a_plain_loop_with_tables_of_each_walkers_own(
    shape: Site, q: int, periodic: tuple[bool, ...]
) -> None:
    given = inputs(shape, q, 2, periodic)
    result = kernels.local_energy(**given, dtype=torch.float64)
    assert result.energy.dtype == result.log_ratios.dtype == torch.float64
    assert result.log_ratios.shape == (2, q - 1, *shape)
    sums = kernels.energy(*(v for name, v in given.items() if name != "beta"))
    assert torch.equal(result.energy, sums.energy)
    assert sums.counts.dtype == torch.int64 and sums.counts.shape == (2, q)
    for walker, x in enumerate(given["configurations"]):
        tables = (
            given["coupling"][walker],
            given["bond_table"],
            given["site_table"][walker],
            periodic,
        )
        energy = loop_energy(x, *tables)
        assert result.energy[walker].item() == pytest.approx(energy, abs=1e-12)
        assert sums.counts[walker].tolist() == [
            x.flatten().tolist().count(state) for state in range(q)
        ]
        for site in itertools.product(*map(range, shape)):
            for k in range(1, q):
                y = x.clone()
                y[site] = (y[site] + k) % q
                expected = -given["beta"][walker].item() * (loop_energy(y, *tables) - energy)
                assert result.log_ratios[(walker, k - 1, *site)].item() == pytest.approx(
                    expected, abs=1e-11
                )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("shape", "q", "periodic"), CASES)
def test_log_ratio_of_the_inverse_move_is_its_negative(
    shape: Site, q: int, periodic: tuple[bool, ...], dtype: torch.dtype
) -> None:
    """``Δ_k(i | x) = -Δ_{q-k}(i | x^{(i,k)})``, bit for bit."""
    given = inputs(shape, q, 2, periodic, seed=10)
    x = given["configurations"]
    before = kernels.local_energy(**given, dtype=dtype).log_ratios
    for site in range(x[0].numel()):
        for k in range(1, q):
            y = x.flatten(1).clone()
            y[:, site] = (y[:, site] + k) % q
            after = kernels.local_energy(
                **given | {"configurations": y.view_as(x)}, dtype=dtype
            ).log_ratios
            assert torch.equal(
                before[:, k - 1].flatten(1)[:, site], -after[:, q - k - 1].flatten(1)[:, site]
            )


@pytest.mark.parametrize(("shape", "q", "periodic"), CASES)
def test_axes_of_size_one_stand_for_full_ones(
    shape: Site, q: int, periodic: tuple[bool, ...]
) -> None:
    walkers = 3
    ndim = len(shape)
    given = inputs(shape, q, walkers, periodic, own=False, seed=20)
    for axis in range(ndim + 2):
        # One axis after another is made uniform: walkers, directions, then the lattice.
        for name in ("coupling", "site_table"):
            if name == "coupling" or axis != 1:
                given[name] = given[name].narrow(axis, 0, 1)
        full = given | {
            "coupling": given["coupling"].expand(walkers, ndim, *shape).contiguous(),
            "site_table": given["site_table"].expand(walkers, q, *shape).contiguous(),
            "beta": given["beta"].expand(walkers).contiguous(),
        }
        for dtype in (torch.float32, torch.float64):
            short = kernels.local_energy(**given, dtype=dtype)
            long = kernels.local_energy(**full, dtype=dtype)
            torch.testing.assert_close(short.energy, long.energy, rtol=1e-14, atol=1e-13)
            assert torch.equal(short.log_ratios, long.log_ratios)


@pytest.mark.parametrize(("shape", "q", "periodic"), CASES)
def test_walkers_do_not_see_each_other(shape: Site, q: int, periodic: tuple[bool, ...]) -> None:
    given = inputs(shape, q, 5, periodic, seed=30)
    together = kernels.local_energy(**given, dtype=torch.float64)
    for walker in range(5):
        own = {
            name: given[name][walker : walker + 1]
            for name in ("configurations", "coupling", "site_table", "beta")
        }
        alone = kernels.local_energy(**given | own, dtype=torch.float64)
        assert alone.energy.item() == pytest.approx(together.energy[walker].item(), abs=1e-13)
        torch.testing.assert_close(
            alone.log_ratios[0], together.log_ratios[walker], rtol=0, atol=1e-13
        )


@pytest.mark.parametrize(("shape", "q", "periodic"), CASES)
def test_couplings_that_leave_an_open_boundary_are_ignored(
    shape: Site, q: int, periodic: tuple[bool, ...]
) -> None:
    given = inputs(shape, q, 2, periodic, seed=40)
    changed = given["coupling"].clone()
    for d, wraps in enumerate(periodic):
        if not wraps:
            changed[:, d].select(d + 1, -1).fill_(1e9)
    for dtype in (torch.float32, torch.float64):
        first = kernels.local_energy(**given, dtype=dtype)
        second = kernels.local_energy(**given | {"coupling": changed}, dtype=dtype)
        assert torch.equal(first.energy, second.energy) and torch.equal(
            first.log_ratios, second.log_ratios
        )


@pytest.mark.parametrize(("shape", "q", "periodic"), CASES)
def test_float32_stays_within_its_rounding_of_float64(
    shape: Site, q: int, periodic: tuple[bool, ...]
) -> None:
    """``|Δ_32 - Δ_64| ≤ (2q + 8) u · 2|β| (2d max|J| max|φ| + max|h|)``, ``u = 2⁻²⁴``.

    A field is a sum of 2q products of three rounded numbers and one rounded number, a log-ratio β
    times a difference.
    """
    given = inputs(shape, q, 50, periodic, seed=50)
    single = kernels.local_energy(**given)
    double = kernels.local_energy(**given, dtype=torch.float64)
    assert single.log_ratios.dtype == torch.float32 and torch.equal(single.energy, double.energy)
    lattice = tuple(range(1, len(shape) + 2))
    field = 2 * len(shape) * given["coupling"].abs().amax(lattice) * given["bond_table"].abs().max()
    bound = (
        (2 * q + 8)
        * 2.0**-24
        * 2
        * given["beta"].abs()
        * (field + given["site_table"].abs().amax(lattice))
    )
    error = (single.log_ratios - double.log_ratios).abs().amax(lattice)
    assert (error <= bound).all()
    assert error.max() > 0


def test_beta_multiplies_log_ratios_and_not_energies() -> None:
    given = inputs((3, 4), 3, 4, (True, False), own=False, seed=60)
    beta = torch.tensor([0.0, 1.0, -2.0, 0.5], dtype=torch.float64)
    ones = kernels.local_energy(
        **given | {"beta": torch.ones(1, dtype=torch.float64)}, dtype=torch.float64
    )
    result = kernels.local_energy(**given | {"beta": beta}, dtype=torch.float64)
    assert torch.equal(result.energy, ones.energy)
    assert torch.equal(result.log_ratios, beta.view(4, 1, 1, 1) * ones.log_ratios)


def test_inputs_are_left_alone() -> None:
    given = inputs((3, 4), 3, 4, (True, False), seed=70)
    copies = {name: value.clone() for name, value in given.items() if isinstance(value, Tensor)}
    kernels.local_energy(**given, dtype=torch.float64)
    assert all(torch.equal(given[name], value) for name, value in copies.items())


FLOAT64 = torch.float64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"configurations": torch.zeros(3, dtype=torch.int8)},
            r"with 2 lattice axes \(1 to 4\), got \(3,\)",
        ),
        (
            {"configurations": torch.zeros(2, 3, 4, 5, dtype=torch.int8)},
            r"2 lattice axes .* got \(2, 3, 4, 5\)",
        ),
        (
            {
                "configurations": torch.zeros(2, 2, 2, 2, 2, 2, dtype=torch.int8),
                "periodic": (True,) * 5,
            },
            r"5 lattice axes \(1 to 4\)",
        ),
        ({"periodic": (True,)}, r"with 1 lattice axes .* got \(2, 3, 4\)"),
        (
            {"coupling": torch.ones(2, 3, 4, dtype=FLOAT64)},
            r"coupling must have shape \(1 \| 2, 1 \| 2, 1 \| 3, 1 \| 4\), got \(2, 3, 4\)",
        ),
        (
            {"coupling": torch.ones(3, 1, 1, 1, dtype=FLOAT64)},
            r"coupling must have shape .* got \(3, 1, 1, 1\)",
        ),
        (
            {"coupling": torch.ones(1, 2, 4, 3, dtype=FLOAT64)},
            r"coupling must have shape .* got \(1, 2, 4, 3\)",
        ),
        (
            {"bond_table": torch.ones(3, 2, dtype=FLOAT64)},
            r"bond_table must have shape \(3, 3\), got \(3, 2\)",
        ),
        (
            {"site_table": torch.ones(1, 2, 1, 1, dtype=FLOAT64)},
            r"site_table must have shape \(1 \| 2, 3, 1 \| 3, 1 \| 4\)",
        ),
        ({"beta": torch.ones(3, dtype=FLOAT64)}, r"beta must have shape \(1 \| 2\), got \(3,\)"),
        ({"beta": torch.tensor(1.0, dtype=FLOAT64)}, r"beta must have shape \(1 \| 2\), got \(\)"),
        (
            {"beta": torch.ones(1)},
            "beta must be float64, got torch.float32; convert it with .double()",
        ),
        ({"coupling": torch.ones(1, 1, 1, 1)}, "coupling must be float64, got torch.float32"),
        ({"bond_table": torch.eye(3)}, "bond_table must be float64, got torch.float32"),
        ({"site_table": torch.ones(1, 3, 1, 1)}, "site_table must be float64, got torch.float32"),
        (
            {"beta": torch.ones(1, dtype=FLOAT64, device="meta")},
            "beta is on meta, configurations on cpu; move one",
        ),
        ({"coupling": torch.ones(1, 1, 1, 1, dtype=FLOAT64, device="meta")}, "coupling is on meta"),
    ],
)
def test_inputs_that_are_refused(changes: dict[str, Any], message: str) -> None:
    given = inputs((3, 4), 3, 2, (True, False), own=False) | changes
    with pytest.raises(ValueError, match=message):
        kernels.local_energy(**given)
    if "beta" not in changes:
        del given["beta"]
        with pytest.raises(ValueError, match=message):
            kernels.energy(**given)


def test_configurations_that_are_no_integers_are_refused() -> None:
    table = torch.eye(2, dtype=torch.float64)
    coupling = torch.ones(1, 1, 1, dtype=torch.float64)
    field = torch.zeros(1, 2, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"configurations must be int8, got torch\.float32"):
        kernels.energy(torch.zeros(1, 4), coupling, table, field, (True,))
