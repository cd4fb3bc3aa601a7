"""Which folder may import which, read from the source, and what the library needs to be imported.

The table says what each folder of the library does import: an import that is not in it fails, and
so does an entry that nothing uses any more.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import leaps_triton

ROOT = Path(__file__).parents[2]
PACKAGE = "leaps_triton"

# From left to right: a folder imports only folders that stand before it.
ORDER = (
    "registry", "renamed", "provenance", "progress", "files", "parallel", "kernels",
    "lattices",
    "models", "paths", "integrators", "networks", "estimators", "observables", "exact", "mcmc",
    "samplers", "io", "report", "training", "learning", "zoo", "bench", "cli",
)  # fmt: skip

FOLDERS: dict[str, set[str]] = {
    "lattices": {"kernels"},
    "models": {"registry", "kernels", "lattices"},
    "paths": {"registry", "kernels", "lattices", "models"},
    "integrators": {"registry", "kernels", "lattices", "models", "paths"},
    "networks": {"registry", "kernels", "lattices", "models"},
    "estimators": {"kernels"},
    "observables": {"kernels", "lattices", "models", "estimators"},
    "exact": {"kernels", "lattices", "models", "observables"},
    "mcmc": {
        "registry",
        "renamed",
        "progress",
        "kernels",
        "models",
        "paths",
        "integrators",
        "estimators",
        "observables",
    },
    "samplers": {
        "progress",
        "kernels",
        "models",
        "paths",
        "integrators",
        "estimators",
        "observables",
        "mcmc",
    },
    "io": {
        "registry",
        "renamed",
        "provenance",
        "progress",
        "files",
        "parallel",
        "kernels",
        "lattices",
        "models",
        "paths",
        "integrators",
        "estimators",
        "observables",
        "exact",
        "mcmc",
        "samplers",
    },
    "zoo": {"kernels", "models", "paths", "networks", "samplers", "io", "training"},
    "report": {"files", "models", "estimators", "observables", "exact"},
    "training": {
        "progress",
        "files",
        "parallel",
        "kernels",
        "lattices",
        "models",
        "paths",
        "integrators",
        "networks",
        "exact",
        "mcmc",
        "samplers",
        "io",
    },
    "learning": {
        "registry",
        "provenance",
        "progress",
        "files",
        "kernels",
        "lattices",
        "models",
        "paths",
        "integrators",
        "estimators",
        "exact",
        "mcmc",
        "samplers",
        "io",
        "training",
    },
    "bench": {"provenance", "progress", "files", "kernels", "models"},
    "cli": {
        "registry",
        "provenance",
        "files",
        "parallel",
        "kernels",
        "io",
        "report",
        "bench",
        "__init__",
    },
}

# Packages of others, beside torch and numpy. Figures, files, progress bars and numba are imported
# late.
PACKAGES: dict[str, set[str]] = {
    "progress": {"tqdm"},
    "kernels": {"llvmlite", "numba", "triton"},
    "io": {"h5py", "safetensors"},
    "report": {"matplotlib"},
    "cli": {"tyro"},
}

# Under `if TYPE_CHECKING:` only: what is drawn or measured was made by these.
TYPE_ONLY: dict[str, set[str]] = {
    "report": {"mcmc", "samplers", "io", "training"},
}

# Modules of the top folder that may import everything.
FACES = {"__init__", "__main__", "former"}


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(
    node: ast.AST, package: list[str], types: bool = False
) -> Iterator[tuple[str, str, bool]]:
    """Every import below `node` as (module, name or "", whether for type checkers only)."""
    if isinstance(node, ast.If) and is_type_checking(node.test):
        for statement in node.body:
            yield from imports(statement, package, types=True)
        for statement in node.orelse:
            yield from imports(statement, package, types)
    elif isinstance(node, ast.Import):
        yield from ((alias.name, "", types) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*parents, *([node.module] if node.module else [])])
        yield from ((base, alias.name, types) for alias in node.names)
    else:
        for child in ast.iter_child_nodes(node):
            yield from imports(child, package, types)


def source_files() -> dict[str, list[Path]]:
    """The folders of the library, and modules of its top folder, with their files."""
    found: dict[str, list[Path]] = {}
    for folder, _, names in os.walk(ROOT / PACKAGE, followlinks=True):
        for name in names:
            if name.endswith(".py"):
                file = Path(folder, name)
                parts = file.relative_to(ROOT / PACKAGE).with_suffix("").parts
                found.setdefault(parts[0], []).append(file)
    return found


FILES = source_files()


def imported(file: Path, source: str | None = None) -> Iterator[tuple[str, bool]]:
    """Folders of the library and packages of others that a file imports, as (name, types only).

    Those of the library are marked by a leading dot.
    """
    text = file.read_text(encoding="utf-8") if source is None else source
    package = [PACKAGE, *file.relative_to(ROOT / PACKAGE).parent.parts]
    for base, name, types in imports(ast.parse(text), package):
        parts = base.split(".")
        if parts[0] == PACKAGE:
            inside = [*parts[1:], name]
            yield f".{inside[0] if inside[0] in FILES else '__init__'}", types
        elif parts[0] not in sys.stdlib_module_names:
            yield parts[0], types


def reality(folder: str) -> tuple[set[str], set[str], set[str]]:
    """What a folder imports: folders, folders for type checkers alone, packages of others."""
    pairs = {pair for file in FILES[folder] for pair in imported(file)}
    used = {name[1:] for name, types in pairs if name.startswith(".") and not types}
    typed = {name[1:] for name, types in pairs if name.startswith(".") and types}
    others = {name for name, _ in pairs if not name.startswith(".")}
    return used - {folder}, typed - used - {folder}, others - {"torch", "numpy"}


@pytest.mark.parametrize("folder", sorted(FILES.keys() - FACES))
def test_the_table_is_what_a_folder_imports(folder: str) -> None:
    used, typed, others = reality(folder)
    assert used == FOLDERS.get(folder, set())
    assert typed == TYPE_ONLY.get(folder, set())
    assert others == PACKAGES.get(folder, set())


def test_the_table_names_every_folder_and_no_other() -> None:
    assert set(ORDER) == FILES.keys() - FACES
    assert FOLDERS.keys() | TYPE_ONLY.keys() | PACKAGES.keys() <= set(ORDER)


@pytest.mark.parametrize("folder", ORDER)
def test_a_folder_imports_only_what_stands_before_it(folder: str) -> None:
    before = {*ORDER[: ORDER.index(folder)]}
    if folder == "cli":
        # Commands use the library as a user does.
        before.add("__init__")
    assert FOLDERS.get(folder, set()) <= before


FOUNDATIONS = ("registry", "renamed", "provenance", "progress", "files", "parallel")


@pytest.mark.parametrize("folder", ["kernels", *FOUNDATIONS])
def test_the_foundations_import_nothing_of_the_library(folder: str) -> None:
    assert FOLDERS.get(folder, set()) == set()


@pytest.mark.parametrize("folder", ["observables", "estimators", "exact", "networks"])
def test_no_way_leads_to_a_sampler(folder: str) -> None:
    below = {folder}
    for name in reversed(ORDER):
        if name in below:
            below |= FOLDERS.get(name, set())
    assert below.isdisjoint({"samplers", "io", "training", "zoo", "cli"})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from ..samplers.sampler import Sampler", ".samplers"),
        ("from leaps_triton.samplers import Sampler", ".samplers"),
        ("from .. import samplers", ".samplers"),
        ("import leaps_triton.samplers as s", ".samplers"),
        ("import leaps_triton", ".__init__"),
        ("def f():\n    from ..samplers import Sampler", ".samplers"),
        ("try:\n    from ..io import read\nexcept ImportError:\n    pass", ".io"),
        ("from ..newcomer import Thing", ".__init__"),
        ("import tyro", "tyro"),
    ],
)
def test_every_form_of_an_import_is_seen(source: str, found: str) -> None:
    file = ROOT / PACKAGE / "observables" / "spins.py"
    assert (found, False) in set(imported(file, source))


def test_imports_for_type_checkers_are_told_apart() -> None:
    file = ROOT / PACKAGE / "observables" / "spins.py"
    source = "if TYPE_CHECKING:\n    from ..samplers import Sampler"
    assert set(imported(file, source)) == {(".samplers", True)}


# Triton alone too: what takes its place could need the others.
@pytest.mark.parametrize("missing", ["triton", "h5py matplotlib numba triton tyro"])
def test_library_imports_without_what_only_a_part_of_it_needs(missing: str) -> None:
    block = f"import sys; sys.modules.update(dict.fromkeys({missing.split()!r}))"
    command = [sys.executable, "-c", f"{block}; import leaps_triton"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_name_that_the_library_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'plots'"):
        leaps_triton.plots  # noqa: B018


FORMER = {
    "ctmc": "integrators",
    "export": "io.export",
    "objectives": "training.losses",
    "physics_plots": "report.physics_plots",
    "plotting": "report.plotting",
    "rates": "integrators.rates",
    "schedules": "samplers.schedules",
    "weights": "estimators.weights",
}


IMPORTED_AS_BEFORE = """
import importlib
import warnings

for former, present in FORMER.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        old = importlib.import_module(f"leaps_triton.{former}")
    assert f"has moved to leaps_triton.{present}" in str(caught[-1].message), former
    new = importlib.import_module(f"leaps_triton.{present}")
    assert all(getattr(old, name) is getattr(new, name) for name in new.__all__), former
"""


def test_former_modules_are_importable_with_a_warning() -> None:
    # In a process of its own, whose modules nobody else sees.
    command = [sys.executable, "-c", f"FORMER = {FORMER!r}\n{IMPORTED_AS_BEFORE}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["rates", "weights", "objectives", "schedules", "export"])
def test_modules_of_the_public_face_are_there_without_a_warning(name: str) -> None:
    assert getattr(leaps_triton, name).__name__.startswith("leaps_triton.")


@pytest.mark.parametrize("folder", sorted(FILES.keys() - FACES - {*FOUNDATIONS[:-1]}))
def test_a_folder_holds_two_to_ten_files(folder: str) -> None:
    by_folder: dict[Path, int] = {}
    for file in FILES[folder]:
        by_folder[file.parent] = by_folder.get(file.parent, 0) + 1
    assert {place: n for place, n in by_folder.items() if not 2 <= n <= 10} == {}
