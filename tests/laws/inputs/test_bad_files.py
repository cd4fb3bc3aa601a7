"""Files that are damaged, foreign or say what cannot be are refused, or mean what they say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from bad_training import SAMPLER, trainer
from bad_values import NAN, A, among, refused
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import leaps_triton as lt
from leaps_triton.io import checkpoint


def file_of(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    trainer().save(folder / "good.safetensors")
    lt.io.sample(SAMPLER, 9, folder / "good.h5")
    return folder


LOADERS: dict[str, Callable[[Path], Any]] = {
    "good.safetensors": lambda file: lt.load(file, "cpu"),
    "good.h5": lt.io.read,
}


@pytest.mark.parametrize("good", LOADERS)
@settings(max_examples=30, phases=[Phase.generate])
@given(data=st.data())
def test_no_damaged_or_foreign_file_is_read(files: Path, good: str, data: st.DataObject) -> None:
    """Cut short, preceded, filled with zeros, or other bytes altogether.

    Single bytes are changed in the tests of each format.
    """
    whole = (files / good).read_bytes()
    kind = data.draw(st.sampled_from(["cut", "shifted", "zeros", "foreign"]))
    size = data.draw(st.integers(1, len(whole) - 1))
    bad = {
        "cut": whole[:size],
        "shifted": whole[size:],
        "zeros": bytes(len(whole)),
        "foreign": data.draw(st.binary(max_size=300)),
    }
    file = file_of(files, "bad", bad[kind])
    refused(lambda: LOADERS[good](file), "bad")


def outcome(read: Callable[[Path], Any], file: Path) -> Any:
    """What comes back, or the ValueError, which names the file."""
    try:
        return read(file)
    except ValueError as error:
        return error if file.name in str(error) else None


def resumed(file: Path) -> str:
    trainer().resume(file)
    return "resumed"


READERS: tuple[Callable[[Path], Any], ...] = (lambda file: lt.load(file, "cpu"), resumed)

JUNK = among(None, -1, 0, 10**400, NAN, "junk", "", [], {}, [[]], {"class": "Jump"}, True, 1.5)


def leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value inside nested dictionaries is, they themselves included."""
    inner = (
        [leaf for key in value for leaf in leaves(value[key], (*place, key))]
        if isinstance(value, dict)
        else []
    )
    return [place, *inner] if place else inner


def changed(
    contents: checkpoint.Contents, place: tuple[Any, ...], value: Any, drop: bool
) -> checkpoint.Contents:
    manifest = json.loads(json.dumps(contents.manifest))
    part = manifest
    for key in place[:-1]:
        part = part[key]
    if drop:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return contents._replace(manifest=manifest)


@settings(max_examples=50, phases=[Phase.generate])
@given(data=st.data())
def test_a_manifest_of_junk_is_refused_or_means_a_sampler(files: Path, data: st.DataObject) -> None:
    """Files with a correct SHA-256, so that only what they say is wrong.

    They are loaded, and training goes on from them.
    """
    contents = checkpoint.read(files / "good.safetensors")
    place = data.draw(st.sampled_from(leaves(contents.manifest)))
    bad = changed(contents, place, data.draw(JUNK), data.draw(st.booleans()))
    checkpoint.write(files / "junk.safetensors", bad)
    for read in READERS:
        result = outcome(read, files / "junk.safetensors")
        assert isinstance(result, ValueError | lt.Sampler) or result == "resumed"


@settings(max_examples=40, phases=[Phase.generate])
@given(data=st.data())
def test_tensors_of_junk_are_refused_or_mean_a_sampler(files: Path, data: st.DataObject) -> None:
    contents = checkpoint.read(files / "good.safetensors")
    name = data.draw(st.sampled_from(sorted(contents.tensors)))
    good = contents.tensors[name]
    bad = data.draw(
        among(
            None,
            good.new_zeros(0),
            good[None],
            good.to(torch.int8),
            torch.full_like(good, -1),
            A * NAN,
        )
    )
    tensors = {
        key: value for key, value in contents.tensors.items() if key != name or bad is not None
    }
    checkpoint.write(
        files / "junk.safetensors",
        contents._replace(tensors=tensors if bad is None else tensors | {name: bad}),
    )
    for read in READERS:
        result = outcome(read, files / "junk.safetensors")
        assert isinstance(result, ValueError | lt.Sampler) or result == "resumed"


@settings(max_examples=30, phases=[Phase.generate])
@given(data=st.data())
def test_a_run_whose_checkpoint_is_junk_is_refused_or_the_same(
    files: Path, data: st.DataObject
) -> None:
    whole: Any = lt.io.read(files / "good.h5")
    (files / "junk.h5").write_bytes((files / "good.h5").read_bytes())
    with h5py.File(files / "junk.h5", "r+") as file:
        contents = checkpoint.unpack(file["checkpoint"][:].tobytes(), "junk.h5")
        place = data.draw(st.sampled_from(leaves(contents.manifest)))
        bad = checkpoint.pack(changed(contents, place, data.draw(JUNK), data.draw(st.booleans())))
        del file["checkpoint"]
        file["checkpoint"] = np.frombuffer(bad, dtype=np.uint8)
    run = outcome(lt.io.read, files / "junk.h5")
    assert isinstance(run, ValueError) or torch.equal(
        run.log_weights, whole.log_weights[: len(run.log_weights)]
    )
