"""The op hollow_values: its definition, hollowness bit for bit, waves, gradients, refusals."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import SHAPES
from leaps_triton import kernels
from leaps_triton.kernels.hollow_network import op as hollow
from leaps_triton.kernels.hollow_network import reference
from leaps_triton.kernels.hollow_network import tables as hollow_tables
from leaps_triton.kernels.hollow_network.cases import double, moved, network
from leaps_triton.kernels.inputs.random import normal

NAMES = (
    "time",
    "conv",
    "first",
    "hidden_weight",
    "hidden_bias",
    "readout_weight",
    "readout_bias",
    "skip",
)


def silu(x: Tensor) -> Tensor:
    return x / (1.0 + torch.exp(-x))


def by_definition(given: dict[str, Any], walker: int, site: tuple[int, ...]) -> Tensor:
    """``f_a(i)`` of one site, ``(q,)``, feature by feature."""
    x = given["configurations"][walker]
    conv = given["conv"]
    periodic = given["periodic"]
    modes = given["modes"]
    shape = x.shape
    q = len(given["readout_bias"])
    sites = list(itertools.product(*map(range, shape)))

    def channels(place: tuple[int, ...]) -> Tensor:
        state = int(x[place])
        return conv.new_tensor(
            [2.0 * state - 1.0] if q == 2 else [float(state == a) for a in range(q)]
        )

    def inside(place: list[int]) -> tuple[int, ...] | None:
        for axis, wraps in enumerate(periodic):
            if wraps:
                place[axis] %= shape[axis]
            elif not 0 <= place[axis] < shape[axis]:
                return None
        return tuple(place)

    radius = conv.shape[-1] // 2
    convolved = conv.new_zeros(len(conv))
    for index, tap in enumerate(itertools.product(range(-radius, radius + 1), repeat=len(shape))):
        there = inside([a + b for a, b in zip(site, tap, strict=True)])
        if there is not None and any(tap):
            convolved += conv.flatten(2)[:, :, index] @ channels(there)

    coupling = given["coupling"].expand(-1, len(shape), *shape)
    coupling = coupling[walker if len(coupling) > 1 else 0]
    counts = conv.new_zeros(q)
    for axis, step in itertools.product(range(len(shape)), (1, -1)):
        there = inside([a + step * (axis == other) for other, a in enumerate(site)])
        if there is not None:
            counts[int(x[there])] += coupling[axis, *(site if step > 0 else there)]
    local = counts
    if q == 2:
        local = counts[1:] - counts[:1]

    others = [place for place in sites if place != site]
    mean = []
    if given["magnetization"]:
        mean.append(sum(map(channels, others), conv.new_zeros(conv.shape[1])) / len(sites))
    waves = reference.lowest_modes(shape, modes).double() / torch.tensor(shape)
    sums: list[Tensor] = []
    for wave in (math.cos, math.sin):
        made = conv.new_zeros(conv.shape[1], modes)
        for mode, place in itertools.product(range(modes), others):
            angle = (
                2.0
                * math.pi
                * sum(float(n) * (b - a) for n, a, b in zip(waves[mode], site, place, strict=True))
            )
            made[:, mode] += channels(place) * wave(angle) / len(sites) ** 0.5
        sums.append(made.flatten())

    field = given["field"].expand(-1, -1, *shape)
    field = field[walker if len(field) > 1 else 0].flatten(1)[:, sites.index(site)]
    # Without what all states share.
    constant = field - field.mean()
    if q == 2:
        constant = field[1:] - field[:1]
    time = given["time"][walker if len(given["time"]) > 1 else 0]
    features = torch.cat([convolved, local, *mean, *sums, constant, time])
    hidden = given["hidden_weight"] @ silu(given["first"] @ features) + given["hidden_bias"]
    values: Tensor = (
        given["readout_weight"] @ silu(hidden) + given["readout_bias"] + given["skip"] * counts
    )
    return values


@pytest.mark.parametrize(
    "options", [{}, {"magnetization": False, "modes": 0}, {"tables": "own", "times": "shared"}]
)
@pytest.mark.parametrize("q", [2, 3])
@pytest.mark.parametrize("dimensions", SHAPES)
def test_the_twin_is_the_definition(dimensions: int, q: int, options: dict[str, Any]) -> None:
    """Up to the rounding of the waves' tables, 2⁻²⁰ here."""
    given = network(*SHAPES[dimensions], q, 2, dtype=torch.float64, **options)
    values = kernels.hollow_values(**given)
    for walker, site in ((0, 0), (1, values[0, 0].numel() - 2)):
        place = tuple(int(n) for n in torch.unravel_index(torch.tensor(site), values.shape[2:]))
        expected = by_definition(given, walker, place)
        torch.testing.assert_close(
            values.flatten(2)[walker, :, site], expected, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("q", [2, 3])
@pytest.mark.parametrize("dimensions", SHAPES)
def test_values_do_not_read_their_site_bit_for_bit(
    dimensions: int, q: int, dtype: torch.dtype
) -> None:
    given = network(*SHAPES[dimensions], q, 1, modes=3, dtype=dtype)
    x = given["configurations"]
    before = kernels.hollow_values(**given).flatten(2)[0]
    for site in range(x.numel()):
        after = kernels.hollow_values(**given | {"configurations": moved(x, site, 1, q)}).flatten(
            2
        )[0]
        assert torch.equal(after[:, site], before[:, site])
        assert not torch.equal(after, before)


@pytest.mark.parametrize("q", [2, 3])
def test_gradients_are_those_of_finite_differences(q: int) -> None:
    """Of the twin by autograd, and of the op, which computes activations again."""
    given = double(network((4, 3), (True, False), q, 2))
    leaves = tuple(given[name].requires_grad_() for name in NAMES)
    rest: dict[str, Any] = {name: value for name, value in given.items() if name not in NAMES}

    def twin(*parameters: Tensor) -> Tensor:
        return kernels.hollow_values(**rest | dict(zip(NAMES, parameters, strict=True)))

    def op(*parameters: Tensor) -> Tensor:
        arguments = [rest[name] for name in ("configurations", "coupling", "field")]
        settings = (rest["periodic"], rest["magnetization"], rest["modes"], "float32")
        values: Tensor = hollow.hollow_values_op(*arguments, *parameters, *settings)
        return values

    torch.testing.assert_close(op(*leaves), twin(*leaves), rtol=0, atol=0)
    for function in (twin, op):
        assert torch.autograd.gradcheck(function, leaves)


@pytest.mark.parametrize("q", [2, 3])
def test_the_ops_keep_the_rules_of_torch_library(q: int) -> None:
    given = network((4, 3), (True, False), q, 2)
    arguments = (*given.values(), "float32")
    leaves = tuple(
        a.clone().requires_grad_() if isinstance(a, Tensor) and i > 2 else a
        for i, a in enumerate(arguments)
    )
    torch.library.opcheck(hollow.hollow_values_op, leaves)
    to_values = normal(2, q, 4, 3, seed=5).float()
    torch.library.opcheck(hollow.hollow_values_gradient_op, (to_values, *arguments))


def test_walkers_do_not_see_each_other() -> None:
    """To rounding: matrix products round by their shape."""
    given = network((5, 4), (True, True), 3, 4, tables="own", dtype=torch.float64)
    together = kernels.hollow_values(**given)
    for row in range(4):
        by_walker = {
            name: given[name][row : row + 1]
            for name in ("configurations", "coupling", "field", "time")
        }
        alone = kernels.hollow_values(**given | by_walker)
        torch.testing.assert_close(alone, together[row : row + 1], rtol=1e-12, atol=1e-12)


def test_lowest_modes_are_the_longest_waves_one_of_each_pair() -> None:
    assert reference.lowest_modes((8, 8), 4).tolist() == [[0, 1], [1, 0], [1, -1], [1, 1]]
    assert reference.lowest_modes((4, 16), 3).tolist() == [[0, 1], [0, 2], [0, 3]]
    assert reference.lowest_modes((8,), 3).tolist() == [[1], [2], [3]]
    assert reference.lowest_modes((8, 8), 0).shape == (0, 2)


@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (32, 32, 32)])
def test_waves_fit_float64(shape: tuple[int, ...]) -> None:
    waves = reference.waves(shape, 2, torch.device("cpu"))
    sites = torch.Size(shape).numel()
    assert 2 * sites * waves.scale**2 < 2**52
    assert waves.scale >= 2**10
    assert torch.equal(waves.cos, waves.cos.round())


@pytest.mark.parametrize(("shape", "periodic"), list(SHAPES.values()))
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_tables_of_the_padded_lattice(
    shape: tuple[int, ...], periodic: tuple[bool, ...], kernel_size: int
) -> None:
    """Every tap and neighbour, found by one addition, is the right site, and never the centre."""
    made = hollow_tables.geometry(shape, periodic, kernel_size, torch.device("cpu"))
    sites = list(itertools.product(*map(range, shape)))
    index = {site: flat for flat, site in enumerate(sites)}
    radius = kernel_size // 2
    taps = [
        tap for tap in itertools.product(range(-radius, radius + 1), repeat=len(shape)) if any(tap)
    ]
    steps = [tuple(int(a == axis) for a in range(len(shape))) for axis in range(len(shape))]
    for site, flat in index.items():
        for offsets, distances in (
            (taps, made.taps),
            (steps, made.steps),
            ([(0,) * len(shape)], torch.zeros(1)),
        ):
            for offset, distance in zip(offsets, distances.long(), strict=False):
                place = [a + b for a, b in zip(site, offset, strict=True)]
                wrapped = tuple(
                    p % n if w else p for p, n, w in zip(place, shape, periodic, strict=True)
                )
                assert int(made.source[int(made.base[flat]) + distance]) == index.get(wrapped, -1)
        for axis, step in enumerate(steps):
            place = [a - b for a, b in zip(site, step, strict=True)]
            wrapped = tuple(
                p % n if w else p for p, n, w in zip(place, shape, periodic, strict=True)
            )
            assert wrapped not in index or int(made.backward[axis, flat]) == index[wrapped]
    assert len(made.taps) % hollow_tables.TILE == 0 and (made.taps != 0).all()


def test_packing_has_an_inverse_for_gradients() -> None:
    """``<pack(p), g> = <p, unpack(g)>`` where packing is linear: in ``first``, and in ``conv``."""
    given = double(network((4, 3), (True, True), 3, 1))
    sizes = hollow_tables.columns(3, 2, 3, True, 2)
    packed, of_time = hollow_tables.pack(given["conv"], given["first"], sizes, 6, 16)
    assert packed.shape == (sizes.total(3), 16) and of_time.shape == (6, 16)
    to_packed = normal(*packed.shape, seed=1)
    to_time = normal(6, 16, seed=2)
    to_conv, to_first = hollow_tables.unpack(
        to_packed, to_time, given["conv"], given["first"], sizes
    )
    product = (packed * to_packed).sum() + (of_time * to_time).sum()
    torch.testing.assert_close((given["first"] * to_first).sum(), product)
    of_taps = 3 * sizes.taps
    torch.testing.assert_close(
        (given["conv"] * to_conv).sum(), (packed[:of_taps] * to_packed[:of_taps]).sum()
    )
    assert float(to_conv[:, :, 1, 1].abs().max()) == 0.0


GIVEN = network((4, 3), (True, False), 3, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"configurations": torch.zeros(2, 4, 3)},
            "configurations must be int8, got torch.float32",
        ),
        ({"configurations": torch.zeros(2, 4, dtype=torch.int8)}, "with 2 lattice axes"),
        (
            {"conv": torch.zeros(5, 1, 3, 3)},
            r"conv must have shape \(5, 3, 3, 3\), got \(5, 1, 3, 3\)",
        ),
        ({"first": torch.zeros(12, 4)}, r"first must have shape \(12, 32\), got \(12, 4\)"),
        ({"modes": 1}, r"first must have shape \(12, 26\)"),
        ({"hidden_weight": torch.zeros(12, 11)}, r"hidden_weight must have shape \(12, 12\)"),
        ({"time": torch.zeros(3, 6)}, r"time must have shape \(1 \| 2, 6\), got \(3, 6\)"),
        (
            {"coupling": GIVEN["coupling"].double()},
            "coupling must be torch.float32 on cpu, got torch.float64",
        ),
        (
            {"coupling": GIVEN["coupling"].clone().requires_grad_()},
            "no gradient with respect to coupling and field",
        ),
        (
            {"precision": "float16"},
            "precision must be one of float32, tf32x3, tf32, bfloat16, got 'float16'",
        ),
        (
            {"conv": torch.zeros(5, 3, 9, 9)},
            "a kernel of 9 sites must be odd with a radius below every periodic",
        ),
        ({"conv": torch.zeros(5, 3, 2, 2)}, "a kernel of 2 sites must be odd"),
        (
            {"coupling": torch.zeros(1, 2, 3, 4)},
            r"coupling must have shape \(1 \| 2, 1 \| 2, 1 \| 4, 1 \| 3\)",
        ),
        (
            {"field": torch.zeros(1, 2, 4, 3)},
            r"field must have shape \(1 \| 2, 3, 1 \| 4, 1 \| 3\)",
        ),
        ({"readout_bias": torch.zeros(2)}, r"readout_bias must have shape \(3\), got \(2,\)"),
    ],
)
def test_inputs_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.hollow_values(**GIVEN | changes)
