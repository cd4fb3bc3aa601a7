"""Published LEAPS checkpoints: layout, formula, golden values, and files that would run code."""

import argparse
import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

import leaps_triton as lt
from leaps_triton.kernels import reference
from leaps_triton.zoo.published import published_network

SHARED = Path(__file__).parents[3] / "shared" / "golden"
GOLDEN = SHARED / "leaps_ising_L15_beta0.4407.safetensors"
PUBLISHED = SHARED / "leaps_ising_final.ckpt"

CONVENTIONS: dict[str, dict[str, Any]] = {
    "no couplings": {},
    "beta": {"beta_0": 0.0, "beta_1": 0.3, "J_0": 1.0, "J_1": 1.0, "mu_0": 0.0, "B_1": 0.0},
    "J": {
        "beta_0": 0.3, "beta_1": 0.3, "J_0": 0.0, "J_1": 1.0, "path": "linear", "mu_0": 0.0,
        "mu_1": 0.0, "B_0": 0.0, "B_1": 0.0, "prefix": "net.network.",
    },
}  # fmt: skip
"""Ways in which a file says ``β_t J_t = 0.3 t``; the published files say it by the last."""


def weights_of(
    q: int, kernel_sizes: tuple[int, ...] = (3, 5), channels: int = 4, width: int = 8
) -> dict[str, Tensor]:
    """Random weights under the published names; some rows of the embedding are longer than 1."""
    generator = torch.Generator().manual_seed(q)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    made = {"initial_conv.mask": torch.ones(channels, 1 if q == 2 else channels, 3, 3)}
    made["initial_conv.mask"][:, :, 1, 1] = 0.0
    made["initial_conv.weight"] = normal(*made["initial_conv.mask"].shape)
    for layer, size in enumerate(kernel_sizes):
        taps = size**2
        made |= {f"convs.{layer}.A": normal(channels, taps, channels, scale=channels**-0.5)}
        made |= {
            f"convs.{layer}.{name}": normal(channels, taps, scale=0.3) for name in ("b1", "b2")
        }
        for place, (outputs, inputs) in {
            0: (width, 1),
            2: (width, width),
            4: (taps, width),
        }.items():
            made[f"convs.{layer}.mlp.mlp.{place}.weight"] = normal(outputs, inputs, scale=0.3)
            made[f"convs.{layer}.mlp.mlp.{place}.bias"] = normal(outputs, scale=0.3)
    if q > 2:
        made["emb.embedding.weight"] = normal(q, channels)
    made["linear"] = normal(channels, scale=0.1) if q == 2 else normal(q, channels, scale=0.1)
    return made


def lightning(
    weights: dict[str, Tensor], q: int, length: int, prefix: str = "net.", **changes: Any
) -> dict[str, Any]:
    """A checkpoint of the documented layout, with what else a training run keeps."""
    config: dict[str, Any] = {
        "target": "potts" if q > 2 else "ising",
        "L": length,
        "beta_0": 0.0,
        "beta_1": 0.3,
    }
    config |= {
        "kernel_sizes": [3, 5],
        "num_channels": 4,
        **({"n_cat": q} if q > 2 else {}),
        **changes,
    }
    state = OrderedDict((f"{prefix}{name}", value) for name, value in weights.items())
    state["F_t_net.mlp.0.weight"] = torch.zeros(3, 1)
    return {
        "epoch": 7, "global_step": 100, "pytorch-lightning_version": "2.5.0", "state_dict": state,
        "loops": {}, "callbacks": {},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}}],
        "hparams_name": "kwargs", "hyper_parameters": {"config": argparse.Namespace(**config)},
    }  # fmt: skip


def formula(weights: dict[str, Tensor], x: Tensor, t: Tensor, q: int) -> Tensor:
    """``G`` of all moves as published: one flip rate for Ising, ``(ω_τ - ω_x)ᵀ h`` for Potts."""
    scale = (1.0 + t).view(-1, 1, 1, 1)
    if q == 2:
        source = 2.0 * x.unsqueeze(1) - 1.0
    else:
        table = weights["emb.embedding.weight"].clone()
        source = F.embedding(x.long(), table, max_norm=1.0).movedim(-1, 1)
    hidden = F.conv2d(
        scale * source,
        weights["initial_conv.weight"] * weights["initial_conv.mask"],
        padding="same",
    )
    for layer in range(sum(name.endswith(".A") for name in weights)):
        part = {name.removeprefix(f"convs.{layer}."): value for name, value in weights.items()}
        time = t.unsqueeze(1)
        for place in (0, 2, 4):
            time = F.linear(time, part[f"mlp.mlp.{place}.weight"], part[f"mlp.mlp.{place}.bias"])
            time = F.silu(time) if place < 4 else time
        size = round(part["b1"].shape[1] ** 0.5)
        tables = (part["A"], part["b1"], part["b2"], time)
        hidden = reference.hollow_conv(F.silu(hidden), *tables, source, size, (True, True))
    if q == 2:
        return scale * source * torch.einsum("c,bcij->bij", weights["linear"], hidden).unsqueeze(1)
    values = torch.einsum("ac,bcij->baij", weights["linear"], hidden)
    state = x.long().unsqueeze(1)
    shifts = torch.arange(1, q).view(1, -1, 1, 1)
    return values.gather(1, (state + shifts) % q) - values.gather(1, state)


@pytest.mark.parametrize("convention", list(CONVENTIONS))
@pytest.mark.parametrize("q", [2, 3])
def test_a_file_of_the_documented_layout_is_the_published_formula(
    q: int, convention: str, tmp_path: Path
) -> None:
    """Synthetic files; the layout of the Potts file is known from its description alone."""
    file = tmp_path / "final.ckpt"
    weights = weights_of(q)
    torch.save(lightning(weights, q, 5, **CONVENTIONS[convention]), file)
    sampler: Any = lt.load_published_leaps(file, device="cpu")
    model = sampler.path.model
    assert type(model) is (lt.Ising if q == 2 else lt.Potts)
    assert (model.lattice.shape, model.q, model.beta) == ((5, 5), q, 0.3)
    assert sampler.integrator.intervals == 25 and sampler.transport.skip is None
    assert sampler.path.beta(0.25).item() * float(model.coupling) == pytest.approx(0.25 * 0.3)
    x = sampler.path.start.sample(torch.arange(6), 1)
    t = torch.linspace(0.0, 1.0, 6)
    output = sampler.transport(x, sampler.path.conditions(t)).detach()
    expected = formula(weights, x, t, q)
    assert float(expected.abs().mean()) > 0.05
    assert float((output - expected).abs().max()) < 1e-5 * float(expected.abs().max())
    moved = x.clone()
    moved[:, 0, 3] = (moved[:, 0, 3] + 1) % q
    back = sampler.transport(moved, sampler.path.conditions(t)).detach()
    assert torch.equal(output[:, 0, 0, 3], -back[:, q - 2, 0, 3])


def test_the_path_may_end_at_another_coupling(tmp_path: Path) -> None:
    """``β_t J_t`` has one meaning, however the file divides it, and the energy that of ``J_1``."""
    file = tmp_path / "final.ckpt"
    torch.save(lightning(weights_of(2), 2, 5, beta_0=0.1, beta_1=0.1, J_0=0.0, J_1=3.0), file)
    model = lt.load_published_leaps(file, device="cpu").path.model
    assert (model.beta, float(model.coupling)) == (0.1, 3.0)
    up = torch.ones(1, 5, 5, dtype=torch.int8)
    assert float(model.energy(up)) == -150.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta_0": 0.1}, "starts at beta_0 = 0.1"),
        ({"beta_0": 0.3, "J_0": 0.5, "J_1": 1.0}, "starts at J_0 = 0.5"),
        ({"J_0": 0.0, "J_1": 1.0}, "has J_0 = 0, J_1 = 1 and beta_0 = 0, beta_1 = 0.3"),
        ({"mu_1": 0.2}, "has mu_1 = 0.2"),
        ({"mu": -0.5}, "has mu = -0.5"),
        ({"B_0": 1.5}, "has B_0 = 1.5"),
        ({"path": "cosine"}, "has path = 'cosine'"),
    ],
)
@pytest.mark.parametrize("q", [2, 3])
def test_another_path_is_refused_by_the_name_of_the_setting(
    q: int, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    torch.save(lightning(weights_of(q), q, 5, **changes), tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=f"^x.ckpt {re.escape(message)}"):
        lt.load_published_leaps(tmp_path / "x.ckpt")


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
@pytest.mark.parametrize("convention", list(CONVENTIONS))
def test_a_published_sampler_has_exact_weights_and_can_be_kept(
    convention: str, tmp_path: Path
) -> None:
    changes = {**CONVENTIONS[convention], "beta_1": 0.2}
    if convention == "J":
        changes["beta_0"] = 0.2
    torch.save(lightning(weights_of(2), 2, 3, **changes), tmp_path / "ising_final.ckpt")
    sampler = lt.load_published_leaps(tmp_path / "ising_final.ckpt", device="cpu")
    lt.save(sampler, tmp_path / "kept.safetensors")
    again = lt.load(tmp_path / "kept.safetensors", device="cpu")
    one = sampler.sample(300, seed=1)
    two = again.sample(300, seed=1)
    assert torch.equal(one.log_weights, two.log_weights)
    assert one.ess > 0.05
    assert abs(one.log_z - lt.exact.log_z(one.model)) < 4.0 * one.log_z_error


def test_the_command_samples_a_published_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tyro")
    from leaps_triton import cli

    file = tmp_path / "ising_final.ckpt"
    changes = {**CONVENTIONS["J"], "beta_0": 0.2, "beta_1": 0.2}
    torch.save(lightning(weights_of(2), 2, 3, **changes), file)
    options = ["--output", str(tmp_path / "r.h5"), "--walkers", "50", "--device", "cpu"]
    cli.main(["sample", "--published", str(file), *options])
    assert "Ising(shape=(3, 3), q=2, beta=0.2" in capsys.readouterr().out
    run = lt.io.read(tmp_path / "r.h5")
    assert isinstance(run, lt.io.Run) and len(run.log_weights) == 50


def test_the_experiment_runs_on_such_a_file(tmp_path: Path) -> None:
    pytest.importorskip("tyro")
    made = lightning(weights_of(2), 2, 5, **CONVENTIONS["J"])
    torch.save(made, tmp_path / "ising_final.ckpt")
    script = Path(__file__).parents[2] / "experiments" / "physics" / "published_leaps.py"
    command = [sys.executable, str(script), "ising_final.ckpt", "--smoke", "--results", "results"]
    environment = {**os.environ, "PYTHONPATH": str(script.parents[2])}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    result = json.loads((tmp_path / "results" / "published_leaps.json").read_text())
    assert [(row["scheme"], row["steps"]) for row in result["schemes"]] == [
        ("jump", 3),
        ("euler", 4),
        ("euler", 8),
    ]
    assert result["reference"]["log_z"] == pytest.approx(lt.exact.ising_log_z((5, 5), 0.3))
    for row in result["schemes"]:
        assert (
            0.0 < row["ess"] <= 1.0
            and row["log_z_deviation"] == row["log_z"] - result["reference"]["log_z"]
        )
    assert str(tmp_path) not in json.dumps(result)
    assert (tmp_path / "results" / "published_leaps.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(
    not (GOLDEN.exists() and PUBLISHED.exists()),
    reason="the published Ising weights are not part of this repository",
)
@pytest.mark.parametrize("source", ["weights", "lightning file", "published file"])
def test_the_published_network_gives_its_published_values(source: str, tmp_path: Path) -> None:
    golden = load_file(GOLDEN)
    weights = {
        name.removeprefix("network."): v
        for name, v in golden.items()
        if name.startswith("network.")
    }
    network: Any
    if source == "weights":
        network = published_network(weights, lt.Ising((15, 15), beta=0.4407))
    else:
        file = PUBLISHED
        if source == "lightning file":
            file = tmp_path / "ising_final.ckpt"
            torch.save(lightning(weights, 2, 15, beta_1=0.4407), file)
        sampler = lt.load_published_leaps(file, device="cpu")
        network = sampler.transport
        assert repr(sampler.path.model) == repr(lt.Ising((15, 15), beta=0.4407))
    path = lt.AnnealingPath(lt.Ising((15, 15), beta=0.4407))
    x = ((golden["golden.spins"] + 1) // 2).to(torch.int8)
    output = network(x, path.conditions(golden["golden.t"])).detach().squeeze(1)
    expected = golden["golden.G"]
    assert float((output - expected).abs().max()) < 1e-5 * float(expected.abs().max())


JUNK: list[Any] = [
    None, True, -3, 0, 5.7, float("nan"), float("inf"), 10**400, "5", [], {}, torch.tensor(1.0),
    torch.ones(2, dtype=torch.int8),
    torch.full((3,), float("nan")), torch.ones(2, 2, dtype=torch.complex64), torch.zeros(0),
]  # fmt: skip


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
@pytest.mark.parametrize("q", [2, 3])
def test_junk_in_a_file_is_refused_or_means_the_same(q: int, junk: Any, tmp_path: Path) -> None:
    """In any place of it: a ValueError that names the file."""
    file = tmp_path / "junk.ckpt"
    config = {"L": 5, "beta_0": 0.0, "beta_1": 0.3, "n_cat": q}
    whole = lightning(weights_of(q), q, 5)
    for name in whole["state_dict"]:
        torch.save({**whole, "state_dict": {**whole["state_dict"], name: junk}}, file)
        if name.endswith("mask") or not name.startswith("net."):
            continue
        with pytest.raises(ValueError, match="junk"):
            lt.load_published_leaps(file, device="cpu")
    for name in config:
        made = {"hyper_parameters": {"config": argparse.Namespace(**{**config, name: junk})}}
        torch.save({**whole, **made}, file)
        try:
            model: Any = lt.load_published_leaps(file, device="cpu").path.model
        except ValueError as error:
            assert file.name in str(error)  # noqa: PT017
        else:
            assert (model.lattice.shape, model.q) == ((5, 5), q)
            assert name in ("beta_0", "beta_1") or (name == "n_cat" and q == 2)


class Calls:
    """Unpickling it would make a file, by any of several functions."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def attacks(mark: Path) -> dict[str, Any]:
    return {
        "posix.system": Calls(os.system, f"touch {mark}"),
        "pathlib.Path.touch": Calls(Path.touch, mark),
        "builtins.exec": Calls(exec, f"open({str(mark)!r}, 'w')"),
        "builtins.eval": Calls(eval, f"open({str(mark)!r}, 'w')"),
        "subprocess.call": Calls(subprocess.call, ["touch", str(mark)]),
        "builtins.getattr": Calls(getattr, argparse.Namespace(), "L"),
    }


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", ["state_dict", "config", "top", "instead of the file"])
@pytest.mark.parametrize("attack", list(attacks(Path("mark"))))
def test_a_file_that_would_run_code_runs_nothing(
    attack: str, place: str, legacy: bool, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    file = tmp_path / "ising_final.ckpt"
    data = lightning(weights_of(2), 2, 5)
    evil = attacks(mark)[attack]
    if place == "state_dict":
        data["state_dict"]["net.linear"] = evil
    elif place == "config":
        data["hyper_parameters"]["config"].L = evil
    elif place == "top":
        data["callbacks"] = [evil]
    torch.save(
        data if place != "instead of the file" else evil,
        file,
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(
        ValueError, match=r"^ising_final.ckpt is no published LEAPS checkpoint: .*not run"
    ) as caught:
        lt.load_published_leaps(file)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["ising_final.ckpt"]


def test_the_attack_of_these_tests_works(tmp_path: Path) -> None:
    """Read without care, the file does run: the tests above prove something."""
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(attacks(mark)["posix.system"]))
    assert mark.exists()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("a/data.pkl", b"cposix\nsystem\n.")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80", b"text", b"\xff" * 100,
        pickle.dumps({"state_dict": {}}), archive(), archive()[:-10],
    ],
    ids=["empty", "short", "text", "bytes", "pickle", "other zip", "cut zip"],
)  # fmt: skip
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(data)
    with pytest.raises(ValueError, match=r"^x.ckpt is no published LEAPS checkpoint"):
        lt.load_published_leaps(tmp_path / "x.ckpt")


def without(name: str) -> dict[str, Any]:
    data = lightning(weights_of(2), 2, 5)
    del data["state_dict"][name]
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"state_dict": {}}, "has no state_dict and config"),
        ([1, 2], "has no state_dict and config"),
        (
            {"state_dict": {}, "hyper_parameters": {"config": argparse.Namespace()}},
            "no state_dict and config",
        ),
        (without("net.linear"), "not those of a published network with q = 2: linear"),
        (without("net.convs.0.b2"), r"convs.0.b2"),
        (lightning({**weights_of(2), "extra": torch.zeros(1)}, 2, 5), "q = 2: extra"),
        (lightning({**weights_of(2), "linear": torch.zeros(5)}, 2, 5), "other shapes"),
        (lightning(weights_of(2), 2, 5, beta_0=0.1), "starts at beta_0 = 0.1"),
        (lightning(weights_of(2), 2, 2), "reaches around"),
        (lightning(weights_of(3), 4, 5), "other shapes"),
    ],
)
def test_data_of_another_kind_are_refused(data: Any, message: str, tmp_path: Path) -> None:
    torch.save(data, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=rf"^x.ckpt.*{message}"):
        lt.load_published_leaps(tmp_path / "x.ckpt")


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lt.load_published_leaps(tmp_path / "none.ckpt")


def test_the_name_of_the_class_is_still_not_allowed_elsewhere(tmp_path: Path) -> None:
    """The one class is allowed while such a file is read, and not for the rest of the program."""
    torch.save(lightning(weights_of(2), 2, 5), tmp_path / "x.ckpt")
    lt.load_published_leaps(tmp_path / "x.ckpt", device="cpu")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()
    assert "argparse" in sys.modules
