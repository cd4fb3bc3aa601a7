"""Starts one step of gpu.py by its name.

python experiments/gpu/gpu_steps.py STEP --device cuda --output FOLDER
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from steps.checks import ceilings, ops, prewarm, touch
from steps.energies import exact
from steps.physics import gates, published, thermodynamics
from steps.rollouts import rollouts
from steps.speed import graphs, layer, sweeps
from steps.tools import ncu, profiled, watched
from steps.training import JOBS, SMOKE_JOBS, demo, train

STEPS: dict[str, Callable[[argparse.Namespace], None]] = {
    "prewarm": prewarm,
    "prewarm-b": prewarm,
    "prewarm-c": prewarm,
    "ops": ops,
    "ceilings": ceilings,
    "memcheck": watched,
    "racecheck": watched,
    "touch": touch,
    "sweeps": sweeps,
    "graphs": graphs,
    "rollouts": rollouts,
    "lec": layer,
    "ncu": ncu,
    "profiled": profiled,
    "energies": exact,
    "demo": demo,
    "gates": gates,
    "thermodynamics": thermodynamics,
    "published": published,
}


def options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Runs one step of experiments/gpu/gpu.py.")
    jobs = [f"train-{name}" for name in JOBS | SMOKE_JOBS]
    parser.add_argument("step", choices=[*STEPS, *jobs])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seconds", type=float, default=60.0, help="that the step has")
    parser.add_argument("--output", type=Path, default=Path("gpu-results"), help="results' folder")
    parser.add_argument("--commit", default="", help="to record where there is no git checkout")
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    parser.add_argument("--every", type=int, default=1, help="of the calls, one in so many")
    parser.add_argument("--file", type=Path, help="a published network")
    return parser


def main() -> None:
    """Read the command line and run the step."""
    settings = options().parse_args()
    settings.output.mkdir(parents=True, exist_ok=True)
    if settings.step in STEPS:
        STEPS[settings.step](settings)
    else:
        train(settings.step.removeprefix("train-"), settings)


if __name__ == "__main__":
    main()
