"""Which module may import which, read from the source, and what the library needs to be
imported.
"""

import ast
import graphlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import leaps_triton

ROOT = Path(__file__).parents[1]
PACKAGE = "leaps_triton"

LIBRARY = (
    "lattice", "models", "path", "equivariant", "lem", "attention", "lec", "local_rates", "incremental", "networks",
    "rates", "domains", "tables", "integrator", "tau_leap", "ctmc", "mcmc", "clusters", "kinetic", "tempering",
    "weights", "sampler", "published", "reverse", "schedules", "objectives", "training", "checkpoint", "io",
    "observables", "estimators", "exact", "plotting", "physics_plots", "export", "table",
    "zoo", "provenance", "kernels", "chain",
)  # fmt: skip

# A module may import those named here and all that these may import.
EDGES: dict[str, tuple[str, ...]] = {
    "kernels.philox": (),
    "kernels.reference": ("kernels.philox",),
    "kernels.checks": (),
    "kernels.throughput": (),
    "kernels.device": (),
    "kernels.variants": (),
    "kernels.local_energy": ("kernels.device", "kernels.variants"),
    "kernels.rates": ("kernels.device", "kernels.variants"),
    "kernels.jump": ("kernels.device", "kernels.philox", "kernels.variants"),
    "kernels.local_jump": (
        "kernels.device",
        "kernels.philox",
        "kernels.reference",
        "kernels.variants",
    ),
    "kernels.sweeps": ("kernels.device", "kernels.philox", "kernels.variants"),
    "kernels.blocked": ("kernels.reference",),
    "kernels.ising": ("kernels.philox", "kernels.reference"),
    "kernels.hollow_conv": ("kernels.device", "kernels.variants", "kernels.blocked"),
    "kernels.hollow_reference": ("kernels.reference",),
    "kernels.hollow_tables": ("kernels.hollow_reference",),
    "kernels.hollow_values": ("kernels.device", "kernels.hollow_tables", "kernels.variants"),
    "kernels.hollow_gradient": ("kernels.hollow_values",),
    "kernels.hollow": (
        "kernels.checks",
        "kernels.hollow_reference",
        "kernels.hollow_values",
        "kernels.hollow_gradient",
    ),
    "kernels.tau_leap": ("kernels.device", "kernels.philox", "kernels.variants"),
    "kernels.clusters": ("kernels.device", "kernels.variants"),
    "kernels.ops": (
        "kernels.reference",
        "kernels.clusters",
        "kernels.blocked",
        "kernels.ising",
        "kernels.hollow_conv",
        "kernels.local_energy",
        "kernels.rates",
        "kernels.jump",
        "kernels.local_jump",
        "kernels.sweeps",
        "kernels.tau_leap",
    ),
    "kernels.resources": (
        "kernels.clusters",
        "kernels.hollow_conv",
        "kernels.hollow_gradient",
        "kernels.hollow_values",
        "kernels.local_energy",
        "kernels.rates",
        "kernels.jump",
        "kernels.local_jump",
        "kernels.sweeps",
        "kernels.tau_leap",
        "kernels.variants",
    ),
    "kernels": (
        "kernels.hollow",
        "kernels.ops",
        "kernels.reference",
        "kernels.philox",
        "kernels.checks",
    ),
    "lattice": ("kernels",),
    "models": ("lattice",),
    "path": ("models",),
    "rates": ("path",),
    "domains": ("rates",),
    "tables": ("rates",),
    "integrator": ("rates",),
    "tau_leap": ("integrator",),
    "ctmc": ("domains", "tables", "tau_leap"),
    "mcmc": ("path", "integrator"),
    "clusters": ("mcmc",),
    "kinetic": ("mcmc", "rates"),
    "tempering": ("mcmc",),
    "equivariant": ("lattice",),
    "lem": ("equivariant",),
    "attention": ("equivariant",),
    "lec": ("equivariant",),
    "local_rates": ("equivariant",),
    "incremental": ("equivariant",),
    "networks": ("lem", "attention", "lec", "local_rates", "incremental"),
    "weights": ("kernels",),
    "jackknife": ("weights",),
    "autocorrelation": ("jackknife",),
    "reweighting": ("autocorrelation",),
    "ladder": ("autocorrelation",),
    "overlaps": ("autocorrelation",),
    "estimators": ("ladder", "overlaps", "reweighting"),
    "sharing": ("models",),
    "observables": ("sharing",),
    "closed_forms": ("lattice",),
    "transfer": ("models",),
    "perfect": ("models",),
    "exact": ("closed_forms", "transfer", "perfect"),
    "chain": ("mcmc", "observables", "estimators"),
    "objectives": ("rates",),
    "sampler": ("ctmc", "incremental", "mcmc", "weights", "estimators"),
    "provenance": (),
    "checkpoint": ("sampler", "clusters", "kinetic", "tempering", "networks", "provenance"),
    "training": ("checkpoint", "objectives"),
    "hdf5": ("checkpoint", "observables"),
    "chain_io": ("hdf5", "chain"),
    "io": ("chain_io",),
    "reverse": ("sampler",),
    "schedules": ("sampler",),
    "published": ("sampler", "networks"),
    "zoo": ("checkpoint",),
    "export": ("io",),
    "table": ("estimators", "observables", "exact"),
    "plotting": ("table",),
    "physics_plots": ("plotting",),
    "__init__": LIBRARY,
    "measurement": (),
    "benchmark": ("models", "local_rates", "measurement", "provenance", "kernels.throughput"),
    "options": ("__init__",),
    "commands": ("options", "table", "plotting", "physics_plots", "provenance"),
    "cli": ("commands", "benchmark", "checkpoint"),
    "__main__": ("cli",),
}

# Under `if TYPE_CHECKING:` only: figures are drawn from what a sampler or a trainer returned.
TYPE_EDGES: dict[str, tuple[str, ...]] = {
    "plotting": ("sampler", "training", "chain", "io"),
    "physics_plots": ("chain",),
}

# Packages of others. Every module may use the standard library; every one outside kernels, torch
# and numpy.
PACKAGES: dict[str, tuple[str, ...]] = {
    "benchmark": ("tqdm",),
    "chain": ("tqdm",),
    "sampler": ("tqdm",),
    "training": ("tqdm",),
    "checkpoint": ("safetensors",),
    "hdf5": ("h5py",),
    "chain_io": ("h5py",),
    "io": ("h5py", "tqdm"),
    "plotting": ("matplotlib",),
    "physics_plots": ("matplotlib",),
    "commands": ("matplotlib", "tyro"),
    "cli": ("tqdm", "tyro"),
}


def reachable(module: str) -> set[str]:
    """Every module that `module` may import."""
    found: set[str] = set()
    pending = list(EDGES[module])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(EDGES[name])
    return found


def packages(module: str) -> tuple[str, ...]:
    """Every package of others that `module` may import."""
    if module.split(".")[0] == "kernels":
        return ("torch", "triton")
    return ("torch", "numpy", *PACKAGES.get(module, ()))


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


def library_module(base: str, name: str) -> str:
    """The table's name for what `from base import name` reads: a module where there is one, else
    its parent.
    """
    inside = base.removeprefix(PACKAGE).lstrip(".")
    below = f"{inside}.{name}".strip(".")
    return below if below in EDGES else inside or "__init__"


def violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """Every import in `source` that the tables do not allow `module`; empty if there is none."""
    if module not in EDGES:
        return [
            f"{module} is not in EDGES of {Path(__file__).name}: add it there, with what it may import"
        ]
    package = [PACKAGE] if module == "__init__" else [PACKAGE, *module.split(".")]
    if not is_package:
        package.pop()
    found = []
    for base, name, types in imports(ast.parse(source), package):
        top = base.split(".")[0]
        if top == PACKAGE:
            target = library_module(base, name)
            allowed = reachable(module) | (set(TYPE_EDGES.get(module, ())) if types else set())
            if target not in allowed and target != module:
                found.append(
                    f"{module} imports {target}, allowed are {', '.join(sorted(allowed)) or 'none'}"
                )
        elif top not in sys.stdlib_module_names and top not in packages(module):
            found.append(f"{module} imports {top}, allowed are {', '.join(packages(module))}")
    return found


def source_files() -> dict[str, Path]:
    files = {}
    for folder, _, names in os.walk(ROOT / PACKAGE, followlinks=True):
        for file in (Path(folder, name) for name in names if name.endswith(".py")):
            parts = file.relative_to(ROOT / PACKAGE).with_suffix("").parts
            if len(parts) > 1 and parts[-1] == "__init__":
                parts = parts[:-1]
            files[".".join(parts)] = file
    return files


FILES = source_files()


def test_sources_are_found() -> None:
    assert {"__init__", "lattice", "models", "kernels", "kernels.reference"} <= FILES.keys()


@pytest.mark.parametrize("module", sorted(FILES))
def test_module_imports_only_what_the_architecture_allows(module: str) -> None:
    file = FILES[module]
    assert violations(module, file.read_text(encoding="utf-8"), file.name == "__init__.py") == []


def test_the_table_has_no_cycle() -> None:
    graphlib.TopologicalSorter(EDGES).prepare()


@pytest.mark.parametrize(
    "module",
    ["observables", "estimators", "weights", "networks", "exact", "plotting", "table", "kernels"],
)
def test_no_way_leads_to_a_sampler(module: str) -> None:
    assert reachable(module).isdisjoint(
        {"sampler", "checkpoint", "training", "zoo", "io", "cli", "__init__"}
    )


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("observables", "from .sampler import Sampler"),
        ("observables", "from leaps_triton.sampler import Sampler"),
        ("observables", "from . import lattice, sampler"),
        ("observables", "import leaps_triton.sampler as s"),
        ("observables", "import leaps_triton"),
        ("observables", "def f():\n    from .sampler import Sampler"),
        ("observables", "try:\n    from .sampler import Sampler\nexcept ImportError:\n    pass"),
        ("observables", "if TYPE_CHECKING:\n    from .sampler import Sampler"),
        ("plotting", "from .sampler import WeightedEnsemble"),
        (
            "plotting",
            "if TYPE_CHECKING:\n    pass\nelse:\n    from .sampler import WeightedEnsemble",
        ),
        ("networks", "from .models import Ising"),
        ("lattice", "from .models import Ising"),
        ("lattice", "from .newcomer import Thing"),
        ("newcomer", ""),
        ("kernels.reference", "from ..lattice import Lattice"),
        ("kernels.reference", "from .. import lattice"),
        ("kernels.reference", "from . import local_energy"),
        ("kernels.reference", "import numpy"),
        ("models", "import kernels"),
        ("models", "from kernels.philox import Stream"),
        ("models", "import tyro"),
        ("sampler", "def save():\n    import h5py"),
    ],
)
def test_a_forbidden_import_is_reported(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "models",
            "import math\nfrom collections.abc import Sequence\nimport torch.nn.functional as F",
        ),
        (
            "models",
            "from . import kernels\nfrom .kernels import Stream\nfrom .lattice import Lattice",
        ),
        (
            "ctmc",
            "from leaps_triton.lattice import Lattice\nfrom leaps_triton.kernels.philox import Stream",
        ),
        (
            "plotting",
            "if typing.TYPE_CHECKING:\n    from .sampler import WeightedEnsemble\nimport matplotlib.pyplot",
        ),
        ("cli", "import tyro\nimport leaps_triton as lt\nfrom . import __version__, zoo"),
    ],
)
def test_an_allowed_import_is_not(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_a_package_resolves_its_relative_imports() -> None:
    assert (
        violations(
            "kernels", "from . import reference\nfrom .philox import Stream", is_package=True
        )
        == []
    )
    assert (
        violations("__init__", "from .sampler import Sampler\nfrom . import exact", is_package=True)
        == []
    )
    assert violations("__init__", "from .cli import main", is_package=True) != []


@pytest.mark.parametrize(
    "missing", ["h5py", "matplotlib", "triton", "tyro", "h5py matplotlib triton tyro"]
)
def test_library_imports_without_what_only_a_part_of_it_needs(missing: str) -> None:
    block = (
        f"import sys; sys.modules.update(dict.fromkeys({missing.split()!r})); import leaps_triton"
    )
    run = subprocess.run(
        [sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_a_name_that_the_library_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'plots'"):
        leaps_triton.plots  # noqa: B018
