"""Bad options of commands end in one sentence and a status, and leave no file."""

from pathlib import Path

import pytest
from bad_training import trainer


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    trainer().save(folder / "good.safetensors")
    return folder


TRAIN = ["train", "--checkpoint", "never.safetensors"]
NO_WHOLE = ["x", "1.5", "nan", "inf", "", "-1", "1e3", "None", "True"]
NO_REAL = ["x", "nan", "inf", "-inf", "1e999", "", "None", "True"]
# None is the choice of the recipe.
NO_CHOSEN = [value for value in NO_WHOLE if value != "None"]
OPTIONS: list[tuple[list[str], str, list[str]]] = [
    (TRAIN, "--every", [*NO_WHOLE, "0"]),
    *((TRAIN, f"--{name}", [*NO_CHOSEN, "0"]) for name in ("steps", "intervals")),
    (TRAIN, "--huber-steps", NO_WHOLE),
    *((TRAIN, f"--{name}", NO_CHOSEN) for name in ("sweeps", "evaluate-every")),
    # None of these is the network's own choice.
    *(
        (TRAIN, f"--{name}", ["x", "1.5", "nan", "", "-1", "1e3", "0"])
        for name in ("channels", "width")
    ),
    (TRAIN, "--modes", ["x", "1.5", "nan", "", "-1", "1e3"]),
    (TRAIN, "--seed", [*NO_WHOLE, "4294967296"]),
    (TRAIN, "--kernel-size", ["x", "1.5", "", "-1", "0", "2", "99", "-3"]),
    (TRAIN, "--shape", ["x", "0", "-4", "1", "2.5", "nan", ""]),
    (TRAIN, "--field", NO_REAL),
    (TRAIN, "--beta", [value for value in NO_REAL if value != "None"]),
    (TRAIN, "--coupling", [value for value in NO_REAL if value != "None"]),
    (TRAIN, "--learning-rate", [*(value for value in NO_REAL if value != "None"), "0", "-1"]),
    (TRAIN, "--ema", [*(value for value in NO_REAL if value != "None"), "1", "-0.5"]),
    *(
        (TRAIN, f"--{name}", ["x", "", "3"])
        for name in ("model", "loss", "baseline", "disorder", "device")
    ),
    *(
        (["demo"], f"--{name}", [*NO_CHOSEN, "0"])
        for name in ("length", "steps", "intervals", "walkers")
    ),
    (["demo"], "--beta", NO_REAL),
    (["demo"], "--seed", [*NO_WHOLE, "4294967296"]),
    (["sample", "c.safetensors", "--output", "never.h5"], "--walkers", [*NO_WHOLE, "0", "1"]),
    (["sample", "c.safetensors", "--output", "never.h5"], "--seed", [*NO_WHOLE, "4294967296"]),
    (["sample"], "--output", ["never.h5"]),
    (["info"], "--json", ["never.json"]),
    (["bench"], "--seed", [*NO_WHOLE, "4294967296"]),
]


@pytest.mark.parametrize(
    ("command", "option", "values"), OPTIONS, ids=[f"{c[0]} {o}" for c, o, _ in OPTIONS]
)
def test_a_bad_option_ends_in_a_sentence_and_a_status(
    command: list[str],
    option: str,
    values: list[str],
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("tyro")
    from leaps_triton import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.safetensors").write_bytes((files / "good.safetensors").read_bytes())
    for value in values:
        with pytest.raises(SystemExit) as caught:
            cli.main([*command, option, value])
        code = caught.value.code
        assert code not in (0, None), value
        assert isinstance(code, int) or (code.startswith("leaps-triton: ") and "\n" not in code), (
            value
        )
        assert "Traceback" not in capsys.readouterr().err
        assert [file.name for file in tmp_path.iterdir()] == ["c.safetensors"], value
