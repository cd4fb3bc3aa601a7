"""Bad values into training, and into files of samplers and of walkers."""

import tempfile
from pathlib import Path

from bad_values import (
    INF,
    NO_BOOLS,
    NO_FILES,
    NO_NAMES,
    NO_OBJECTS,
    NO_SEEDS,
    PATH,
    Entry,
    among,
    below,
    network,
    numbers,
    sampler,
)

import leaps_triton as lt


def trainer() -> lt.Trainer:
    return lt.Trainer(LEARNED, lt.TrainingConfig(steps=1, times=2, walkers=2, buffer=2, rollout=2))


SAMPLER, LEARNED = sampler(), sampler(transport=network())

ENTRIES: dict[str, Entry] = {
    "TrainingConfig": Entry(
        lt.TrainingConfig,
        {
            "steps": 5,
            "buffer": 1024,
            "rollout": 256,
            "seed": 3,
            "ema": 0.5,
            "clip": 1,
            "baseline": "learned",
        },
        {
            **{
                name: below(1)
                for name in ("steps", "times", "buffer", "rollout_every", "rollout", "sweeps")
            },
            **{name: below(2) for name in ("walkers", "evaluation_walkers")},
            **{
                name: below(0)
                for name in ("warmup", "evaluate_every", "evaluation_block", "huber_steps")
            },
            "leaps": below(1) | among(3),
            "segment": below(1) | among(51),
            "loss": NO_NAMES,
            **{
                name: numbers(0.0, -1.0, INF)
                for name in ("learning_rate", "clip", "divergence", "huber_delta")
            },
            "rollout": below(1) | among(1025),
            "baseline": NO_NAMES,
            "ema": numbers(-0.1, 1.0, INF),
            "seed": NO_SEEDS,
        },
    ),
    "Trainer": Entry(
        lt.Trainer,
        {"sampler": LEARNED, "config": None},
        {
            "sampler": NO_OBJECTS | among(SAMPLER, PATH),
            "config": NO_OBJECTS.filter(lambda value: value is not None) | among(lt.TrainingConfig),
        },
    ),
    "trainer.run": Entry(
        lambda **given: trainer().run(**given),
        {"steps": 0, "every": 5},
        {
            "steps": below(0).filter(lambda value: value is not None),
            "every": below(1),
            "checkpoint": NO_FILES,
        },
        {"checkpoint": "file"},
    ),
    "trainer.save": Entry(trainer().save, {}, {"file": NO_FILES}),
    "trainer.resume": Entry(trainer().resume, {}, {"file": NO_FILES}),
    "save": Entry(
        lambda sampler, file: lt.save(sampler, file or Path(tempfile.mkdtemp()) / "s.safetensors"),
        {"sampler": SAMPLER, "file": None},
        {"sampler": NO_OBJECTS | among(PATH), "file": NO_FILES.filter(bool)},
    ),
    "load": Entry(lt.load, {}, {"file": NO_FILES}),
    "io.sample": Entry(
        lambda file=None, **given: lt.io.sample(
            file=file or Path(tempfile.mkdtemp()) / "r.h5", **given
        ),
        {
            "sampler": SAMPLER,
            "walkers": 9,
            "seed": 0,
            "observables": ["energy"],
            "configurations": True,
            "resume": False,
        },
        {
            "sampler": NO_OBJECTS | among(PATH),
            "walkers": below(1) | among(2**31 + 1),
            "file": NO_FILES.filter(bool),
            "seed": NO_SEEDS,
            "observables": among(
                3,
                None,
                True,
                1.5,
                "energy",
                ["spin"],
                [3],
                ["of_means"],
                ["energy", None],
                [["energy"]],
            ),
            "configurations": NO_BOOLS,
            "resume": NO_BOOLS,
        },
    ),
    "io.read": Entry(lt.io.read, {}, {"file": NO_FILES}),
    "run.estimate": Entry(
        lt.io.sample(SAMPLER, 8, Path(tempfile.mkdtemp()) / "r.h5").estimate,
        {"observable": "energy"},
        {"observable": NO_NAMES | among(lt.observables.overlap)},
        {"observable": "observable"},
    ),
}
