"""The kernels of packed sweeps: the configurations of the twins, bit for bit.

Decisions are integers and thresholds come from the twins' own polynomial, so that nothing may
differ. A call of few walkers takes a second in the interpreter; choices that change no result are
tested without running what they choose.
"""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kernel_tools import on_device, recorded, require_kernels, restrided, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.configs import configs
from leaps_triton.kernels.packed_sweeps.cases import packed
from leaps_triton.kernels.packed_sweeps.layouts import Rows, of_walkers
from leaps_triton.kernels.packed_sweeps.reference import PackedSweeps

require_kernels()
from leaps_triton.kernels.packed_sweeps import triton as kernel  # noqa: E402
from leaps_triton.kernels.packing import triton_tables  # noqa: E402
from leaps_triton.kernels.packing.triton_sweeps import sweep_kernel  # noqa: E402

pytestmark = silent
ops = pytest.mark.parametrize("op", list(kernel.MOVES))


def arguments(shape: tuple[int, int], first: int, walkers: int, **named: Any) -> dict[str, Any]:
    """Return arguments of neighbouring walkers, of which the first may begin within a group."""
    rest = {key: named.pop(key) for key in ("rest", "backward") if key in named}
    given = packed(shape, walkers, **named)
    return given | {"walkers": torch.arange(first, first + walkers)} | rest


def run(op: str, given: dict[str, Any]) -> Tensor:
    found: Tensor = getattr(kernel, f"packed_{op}_sweeps")(PackedSweeps(**on_device(given)))
    return found.cpu()


def compare(op: str, given: dict[str, Any]) -> None:
    before = given["configurations"].clone()
    found = run(op, given)
    assert torch.equal(given["configurations"], before)
    assert found.dtype == torch.int8 and found.is_contiguous()
    assert torch.equal(found, getattr(reference, f"packed_{op}_sweeps")(**given))


def choose(monkeypatch: pytest.MonkeyPatch, place: int, tiles: int = 1) -> None:
    """Have lattices swept by the configuration in this place of the table."""

    def chosen(op: str, kind: str, words: Any) -> tuple[Any, int]:
        return configs("packed_sweeps", op, kind)[place], tiles

    monkeypatch.setattr(kernel, "_chosen", chosen)


@pytest.mark.parametrize(("op", "kind"), list(itertools.product(kernel.MOVES, kernel.KINDS)))
def test_a_lattice_smaller_than_a_block(
    op: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two partial groups, a β per walker of either sign, and each move with what it knows."""
    signs = kind == "signs"
    given = arguments((4, 6), 30, 3, sweeps=1, signs=signs, backward=signs)
    if kind == "field":
        given["tilt"] = 0.3
    if kind == "plain":
        # Three groups, and programs for two.
        given["walkers"] = torch.tensor([31, 32, 64])
    if op == "metropolis":
        given["rest"] = 2.0**-3
    with recorded(kernel, monkeypatch) as launched:
        compare(op, given)
    assert kernel.VARIANTS[op, kind, 128] in launched


@pytest.mark.parametrize("rest", [0.0, 2.0**-20])
def test_a_rest_that_four_bits_do_not_decide(rest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds by state serve it."""
    given = arguments((2, 4), 40, 1, sweeps=1, rest=rest)
    with recorded(kernel, monkeypatch) as launched:
        compare("metropolis", given)
    assert kernel.VARIANTS["metropolis", "field", 128] in launched


@pytest.mark.parametrize(
    ("op", "kind"), [("heat_bath", "signs"), ("heat_bath", "field"), ("metropolis", "field")]
)
def test_several_words_of_a_thread(op: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of twelve words of a colour is three quads, or six pairs."""
    choose(monkeypatch, 1)
    given = arguments((2, 24), 30, 2, sweeps=1, signs=True)
    if kind == "field":
        given["tilt"] = 0.3
    compare(op, given)


def test_lines_of_blocks_and_several_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """More words than a block has, the last one in part; the lower bits are those of each sweep."""
    choose(monkeypatch, 1)
    compare("metropolis", arguments((10, 104), 3, 1, sweeps=2, rest=2.0**-3))


@pytest.mark.parametrize(("place", "tiles", "shape"), [(0, 2, (6, 100)), (1, 2, (16, 80))])
def test_tiles_of_a_large_lattice(
    place: int, tiles: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One launch for each colour, of as many programs as tiles."""
    choose(monkeypatch, place, tiles)
    with recorded(kernel, monkeypatch) as launched:
        compare("heat_bath", arguments(shape, 3, 1, sweeps=1, backward=True))
    assert sum(variant.kernel is sweep_kernel for variant in launched) == 2


@pytest.mark.parametrize(
    ("op", "place", "shape"), [("heat_bath", 1, (2, 512)), ("metropolis", 0, (2, 128))]
)
def test_columns_of_one_walker_in_a_word(
    op: str, place: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, place)
    given = arguments(shape, 77, 1, sweeps=1, signs=True, rows=True)
    if op == "metropolis":
        given["rest"] = 0.5
    compare(op, given)


def test_strides_and_places_in_memory() -> None:
    given = restrided(arguments((2, 6), 0, 2, sweeps=1, signs=True))
    compare("heat_bath", given)
    # A view that begins at no multiple of four bytes.
    x = torch.cat([given["configurations"].flatten()[:1], given["configurations"].flatten()])
    compare("heat_bath", given | {"configurations": x[1:].view(2, 2, 6), "sweeps": 1})


@ops
def test_no_sweep_and_no_walkers(op: str) -> None:
    given = arguments((2, 4), 5, 3, sweeps=0)
    assert torch.equal(run(op, given), given["configurations"])
    assert run(op, arguments((2, 4), 5, 0, sweeps=1)).shape == (0, 2, 4)


@pytest.mark.parametrize("rows", [False, True])
def test_words_are_those_of_the_layout(rows: bool) -> None:
    """Walkers in any order: a group that stands in two places is two rows of words.

    Where words hold columns, two walkers of one index are two rows too.
    """
    walkers = torch.tensor([64, 95, 31, 0, 2**40 + 5, 65, 65 if rows else 66])
    given = packed((4, 64), len(walkers), signs=True, rows=rows) | {"walkers": walkers}
    given = on_device(given)
    words = kernel._words(PackedSweeps(**given))
    starts = [0, 2, 4, 5]
    if rows:
        starts = list(range(7))
    assert words.table[: len(starts) + 2].tolist() == [len(starts), *starts, 7]
    spins = words.empty(2, words.half)
    kernel._convert("pack", kernel._by_four(given["configurations"]), spins, words)
    for row, (start, end) in enumerate(itertools.pairwise([*starts, 7])):
        layout = Rows(walkers[start:end]) if rows else of_walkers(walkers[start:end])
        expected = layout.pack(given["configurations"][start:end].cpu()).flatten()
        assert torch.equal(spins[row].flatten().cpu().long() & 0xFFFFFFFF, expected)
    after = torch.empty_like(given["configurations"])
    kernel._convert("unpack", spins, kernel._by_four(after), words)
    assert torch.equal(after, given["configurations"])


@pytest.mark.parametrize("divisor", [1, 2, 3, 5, 7, 12, 127, 2**20 - 1, 2**28 + 1])
def test_a_division_by_a_product_is_exact(divisor: int) -> None:
    factor, shift = triton_tables.reciprocal(divisor)
    assert factor < 2**32
    for x in (0, 1, divisor - 1, divisor, 3 * divisor - 1, 3 * divisor, 2**30 - 1, 2**31 - 1):
        if x < 2**31:
            assert (2 * x * factor) >> 32 >> shift == x // divisor


class Operations(TorchDispatchMode):
    """Note the names of torch's operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def launched(op: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return the variants that a call would launch, and torch's operations beside them."""
    variants: list[Any] = []

    def note(variant: Any, programs: int, *others: Any) -> None:
        variants.append((variant, programs))

    monkeypatch.setattr(kernel, "launch", note)
    with Operations() as operations:
        run(op, given)
    return variants, operations.names


def test_every_variant_is_launched_by_some_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but memory and views beside: no copy to the device and no waiting for it."""
    found: list[Any] = []
    for op, kind, rows in itertools.product(kernel.MOVES, kernel.KINDS, (False, True)):
        for shape in ((2, 64), (64, 64), (128, 256)):
            if rows:
                shape = (shape[0], 32 * shape[1])
            given = arguments((2, 2), 0, 1, sweeps=1, rows=rows, rest=2.0**-4)
            given["configurations"] = torch.zeros(1, *shape, dtype=torch.int8)
            if kind == "signs":
                given["negative"] = torch.zeros(1, dtype=torch.bool).expand(2, *shape)
            if kind == "field":
                given["tilt"] = 0.5
            variants, operations = launched(op, given, monkeypatch)
            found += [variant for variant, _ in variants]
            copies = {"_to_copy", "copy_", "_local_scalar_dense", "item", "nonzero"}
            assert not operations & copies, operations
    missing = [key for key, variant in kernel.VARIANTS.items() if variant not in found]
    assert not missing


@pytest.mark.parametrize(
    ("shape", "walkers", "block", "programs", "launches"),
    [
        # 128 words of a colour: one block.
        ((16, 16), 4096, 128, 130, 1),
        ((32, 32), 4096, 512, 130, 1),
        ((64, 64), 4096, 2048, 130, 1),
        # Many groups: small programs.
        ((64, 64), 65536, 512, 2050, 1),
        # Few groups of a large lattice: tiles, a launch per colour and sweep.
        ((256, 256), 64, 512, 4 * 64, 4),
        ((250, 250), 64, 128, 4 * 245, 4),
        ((256, 256), 8192, 2048, 258, 1),
    ],
)
def test_how_lattices_are_swept(
    shape: tuple[int, int],
    walkers: int,
    block: int,
    programs: int,
    launches: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = arguments((2, 2), 0, 1, sweeps=2)
    x = torch.zeros(1, dtype=torch.int8).expand(walkers, *shape)
    given |= {"configurations": x, "walkers": torch.arange(walkers)}
    words = kernel.Words(PackedSweeps(**given), "walkers", given["walkers"], x, 0)
    words = words._replace(programs=min(walkers, walkers // 32 + 2))
    made, tiles = kernel._chosen("heat_bath", "plain", words)
    assert made.constants["BLOCK"] == block
    assert words.programs * tiles == programs
    assert launches == (1 if tiles == 1 else 4)
