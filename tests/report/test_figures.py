"""Nothing of a figure is cut, panels can stand alone, and what shows nothing is named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

import leaps_triton as lt
from leaps_triton.report import by_temperature, figures, physics_plots
from leaps_triton.report.shared import shortened, wrapped

pytestmark = pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")

LONG = "a_measurement_of_a_lattice_with_a_name_that_goes_on_and_on_for_as_long_as_a_shell_allows"


class AModelWithANameThatIsTooLongForTheTitleOfAnyFigureThatIsDrawnHereOrElsewhere(lt.Ising):
    """A model of a user's own."""


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact curves of few points, which take less time and look no less at the labels."""
    monkeypatch.setattr(by_temperature, "_POINTS", 3)


def chain(beta: float, length: int = 2, kind: Any = lt.Ising) -> lt.Chain:
    return lt.run_chain(
        kind((length, 3), beta),
        lt.HeatBath(),
        4,
        30,
        device="cpu",
        keep_configurations=True,
    )


def weighted(beta: float, kind: Any = lt.Ising) -> lt.WeightedEnsemble:
    path = lt.AnnealingPath(kind((2, 3), beta))
    sampler = lt.Sampler(path, None, lt.Jump(3), lt.HeatBath(), block=16, device="cpu")
    return sampler.sample(32)


@pytest.fixture(scope="module")
def runs() -> dict[str, Any]:
    kind = AModelWithANameThatIsTooLongForTheTitleOfAnyFigureThatIsDrawnHereOrElsewhere
    found: dict[str, Any] = {}
    for number, beta in enumerate((0.3, 0.5)):
        found[f"{LONG}_{number}_long"] = chain(beta, 3, kind)
        found[f"{LONG}_{number}_short"] = chain(beta)
        found[f"{LONG}_{number}_weighted"] = weighted(beta, kind)
    return found


HISTORY = lt.TrainingHistory(
    loss=[8.0, 4.0, 2.0, 1.0], evaluation_step=[2, 4], evaluation_ess=[0.5, 0.9]
)


def overhang(figure: Figure) -> float:
    """By how many pixels labels, titles, ticks or legends reach beyond the edges of a figure."""
    renderer: Any = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    # Titles and labels of the figure itself stand beside its axes.
    boxes += [text.get_window_extent(renderer) for text in texts(figure)]
    most = 0.0
    for box in boxes:
        if box is None:
            continue
        low = max(-box.x0, -box.y0)
        high = max(box.x1 - figure.bbox.width, box.y1 - figure.bbox.height)
        most = max(most, low, high)
    return float(most)


def texts(figure: Figure) -> Iterator[Text]:
    for artist in figure.get_children():
        if isinstance(artist, Text) and artist.get_text():
            yield artist


@pytest.mark.parametrize("name", figures.NEEDS)
def test_no_label_is_cut(name: str, runs: dict[str, Any]) -> None:
    figure = figures.draw(name, runs)
    assert figure is not None
    # A pixel is less than the antialiased edge of a letter.
    assert overhang(figure) <= 1.0


def test_no_label_of_a_panel_of_its_own_is_cut(runs: dict[str, Any]) -> None:
    for name in figures.panels("observables", runs)[2:3]:
        figure = figures.draw(name, runs)
        assert figure is not None and len(figure.axes) == 2
        assert overhang(figure) <= 1.0


def test_no_label_of_the_overview_is_cut(runs: dict[str, Any]) -> None:
    ensembles = {key: run for key, run in runs.items() if run.weighted}
    figure = lt.plotting.overview(ensembles, HISTORY, title=LONG.replace("_", " ") * 2)
    assert overhang(figure) <= 1.0


def test_an_overhang_is_seen() -> None:
    figure = Figure(figsize=(2.0, 2.0))
    figure.subplots().set_title(LONG)
    assert overhang(figure) > 10.0


def test_panels_are_drawn_alone(runs: dict[str, Any]) -> None:
    names = figures.panels("observables", runs)
    assert names == [f"observables-{name}" for name in lt.io.OBSERVABLES]
    figure = figures.draw(names[3], runs)
    assert figure is not None and figure.axes[0].get_ylabel().startswith("specific heat")
    assert figures.panels("weights", runs) == ["weights"]


def test_what_shows_nothing_says_why() -> None:
    one = {"a": chain(0.4), "b": chain(0.4, 3)}
    for name in ("observables", "binder"):
        assert "all files are of one temperature, β = 0.4" in figures.idle(name, one)
    assert figures.idle("autocorrelation", one) == figures.idle("weights", one) == ""
    free = {"free": weighted(0.0)}
    assert figures.idle("weights", free) == "all walkers have the same weight"
    frozen = lt.run_chain(
        lt.Ising((4, 3), 50.0),
        lt.HeatBath(),
        2,
        20,
        start=torch.ones(2, 4, 3, dtype=torch.int8),
        device="cpu",
    )
    assert figures.idle("autocorrelation", {"frozen": frozen}) == "nothing varies in the chain"
    two = {"a": chain(0.4), "b": chain(0.5)}
    assert all(figures.idle(name, two) == "" for name in figures.NEEDS)


def test_the_training_panel_defines_its_symbols() -> None:
    axes = Figure(figsize=(7.0, 4.8), layout="constrained").subplots()
    lt.plotting.training_curve(axes, HISTORY)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "loss of a step",
        "mean of 1 step",
        "ESS of fresh walkers, by exact weights",
    ]
    assert "Var[ξ]" in axes.get_xlabel() and "residual" in axes.get_xlabel()
    assert "effective sample size" in axes.figure.axes[1].get_ylabel()


def test_names_are_shortened_in_their_middle() -> None:
    assert len(shortened(LONG)) == 40 and shortened(LONG).endswith("shell_allows")
    assert shortened("short") == "short"
    # Two inches are 144 points, or 22 letters of 10 points.
    assert max(map(len, wrapped(LONG, 2.0, 10.0).splitlines())) == 22


def test_decades_that_are_not_whole_have_plain_numbers() -> None:
    axes = Figure(layout="constrained").subplots()
    physics_plots.correlation(axes, {"run": chain(0.35)})
    if axes.get_yscale() == "log":
        assert axes.yaxis.get_minor_formatter()(0.2, 0) == "0.2"


def test_a_film_has_room_for_its_longest_title(tmp_path: Path) -> None:
    frames = torch.zeros(2, 4, 3, 3, dtype=torch.int8)
    physics_plots.animation(frames, ["short", LONG.replace("_", " ")], tmp_path / "a.gif", 2)
    assert (tmp_path / "a.gif").stat().st_size > 0
