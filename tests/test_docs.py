"""The Python of the README and of the guide runs, page by page, at small size."""

import contextlib
import io
import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
DOCUMENTS = [
    *PAGES,
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
LARGEST = {"steps": 20, "walkers": 512, "sweeps": 400}
"""Larger numbers of these arguments are lowered, so that a page takes seconds."""


def python_of(page: Path) -> list[str]:
    """The blocks of Python of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def at_small_size(code: str) -> str:
    """The code with large numbers of steps, walkers and sweeps lowered."""

    def lower(match: re.Match[str]) -> str:
        name = match[1]
        return f"{name}={min(int(match[2]), LARGEST[name])}"

    return re.sub(rf"\b({'|'.join(LARGEST)})=(\d+)", lower, code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(python_of(page)):
        code = compile(at_small_size(block), f"{page.name}, block {number}", "exec")
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # Runs of small size are shorter than their error bars ask for.
            warnings.filterwarnings("ignore", message=".*autocorrelation time.*")
            warnings.filterwarnings("ignore", message=".*means of.*differ.*")
            exec(code, names)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_every_page_of_the_guide_shows_python(page: Path) -> None:
    assert python_of(page)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_links_lead_to_files_and_to_no_package_index(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "pypi.org" not in text
    assert "/tmp/" not in text and "/work/" not in text
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "#")):
            continue
        file = page.parent / link.partition("#")[0]
        assert file.exists(), f"{page.name} links to {link}"


def test_the_readme_fits_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
