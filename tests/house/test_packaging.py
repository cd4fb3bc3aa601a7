"""What a build contains, and that versions and pins agree across files."""

import math
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import leaps_triton

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "leaps_triton", "kernels")
SDIST = "import setuptools.build_meta as build; print(build.build_sdist('dist'))"


def run(*command: str, cwd: Path) -> str:
    finished = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def build_wheel(source: Path, folder: Path) -> Path:
    """The wheel of the tree `source`, built offline with the setuptools of this environment."""
    command = (
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    )
    run(*command, "--wheel-dir", str(folder), str(source), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def modules(wheel: Path) -> dict[str, bytes]:
    """Every Python file in a wheel with its content."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".py")}


def python_files() -> dict[str, bytes]:
    """Every Python file of the package in this tree with its content."""
    found = {}
    for folder, _, names in os.walk(ROOT / "leaps_triton", followlinks=True):
        for file in (Path(folder, name) for name in names if name.endswith(".py")):
            found[file.relative_to(ROOT).as_posix()] = file.read_bytes()
    return found


def copy_tree(folder: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(ROOT / name, folder / name)


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    entries = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(entry.name): entry for entry in entries}


def requirements() -> list[str]:
    project = PROJECT["project"]
    optional = project["optional-dependencies"].values()
    extras = [requirement for extra in optional for requirement in extra]
    return [*project["dependencies"], *extras, *PROJECT["build-system"]["requires"]]


def test_builds_hold_the_kernels_as_files_of_the_package(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("tree", "unpacked", "from_tree", "from_sdist")]
    for folder in folders:
        folder.mkdir()
    tree, unpacked, from_tree, from_sdist = folders
    copy_tree(tree)

    sdist = tree / "dist" / run(sys.executable, "-c", SDIST, cwd=tree).splitlines()[-1]
    with tarfile.open(sdist) as archive:
        members = {member.name.partition("/")[2]: member for member in archive.getmembers()}
        archive.extractall(unpacked, filter="data")
    assert members["leaps_triton/kernels"].isdir()
    assert members["leaps_triton/kernels/reference.py"].isreg()
    assert "kernels" not in members

    (unpacked_tree,) = unpacked.iterdir()
    assert modules(build_wheel(tree, from_tree)) == python_files()
    assert modules(build_wheel(unpacked_tree, from_sdist)) == python_files()


def test_an_installed_wheel_holds_every_folder_and_works_apart(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    copy_tree(tree)
    wheel = build_wheel(tree, tmp_path)
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    expected = {Path(name).parent for name in python_files()}
    found = {file.parent.relative_to(installed) for file in installed.rglob("*.py")}
    assert found == expected
    # Without this tree on the path, from another folder, kernels and former names included.
    code = (
        "import warnings, leaps_triton as lt, leaps_triton.kernels.philox\n"
        "warnings.simplefilter('ignore')\n"
        "import leaps_triton.ctmc\n"
        "print(lt.__file__, lt.exact.ising_log_z((2, 2), 0.0))"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    place, log_z = finished.stdout.split()
    assert Path(place).is_relative_to(installed)
    assert float(log_z) == pytest.approx(4.0 * math.log(2.0))


def test_kernels_in_the_package_are_a_relative_link() -> None:
    assert os.readlink(ROOT / "leaps_triton" / "kernels") == "../kernels"


@pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="not a git checkout: nothing says what is committed"
)
def test_the_link_is_committed_as_a_link() -> None:
    listed = run("git", "ls-files", "--stage", "leaps_triton/kernels", cwd=ROOT)
    assert listed.startswith("120000 ")


def test_versions_agree() -> None:
    citation = re.search(
        r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert citation is not None
    assert PROJECT["project"]["version"] == leaps_triton.__version__ == citation[1]


@pytest.mark.parametrize("requirement", requirements())
def test_a_pin_satisfies_its_requirement(requirement: str) -> None:
    wanted = Requirement(requirement)
    pin = pins()[canonicalize_name(wanted.name)]
    (exact,) = pin.specifier
    assert wanted.specifier.contains(exact.version)
    assert str(pin.marker) == str(wanted.marker)


def test_every_pin_is_exact_and_fits_all_builds_of_its_version() -> None:
    for pin in pins().values():
        assert [(exact.operator, "+" in exact.version) for exact in pin.specifier] == [
            ("==", False)
        ]
