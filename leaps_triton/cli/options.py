"""What commands share: options of the model, checks before long work, and results in files."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

import leaps_triton as lt

__all__ = ["ModelOptions", "check_folders", "config", "device_name", "write"]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A lattice model."""

    model: Literal["ising", "potts", "clock", "edwards-anderson"] = "ising"
    """Lattice model."""
    shape: tuple[int, ...] = (8, 8)
    """Length of the lattice in each of one to four directions."""
    beta: float = 0.4407
    """Inverse temperature."""
    q: int | None = None
    """Number of states of potts and clock."""
    coupling: float | None = None
    """Coupling of ising, potts and clock; 1 by default."""
    disorder: Literal["pm1", "gaussian"] | None = None
    """Law of the couplings of edwards-anderson; pm1 by default."""
    disorder_seed: int | None = None
    """Seed of the couplings of edwards-anderson; 0 by default."""
    field: tuple[float, ...] = ()
    """External field: one number, or q numbers for potts and clock; none by default."""
    open_boundaries: bool = False
    """Open boundaries in every direction, instead of periodic ones."""

    def make(self) -> lt.PairModel:
        """The model that the options describe."""
        maker: Any
        maker, needs = {
            "ising": (lt.Ising, ("coupling",)),
            "potts": (lt.Potts, ("q", "coupling")),
            "clock": (lt.Clock, ("q", "coupling")),
            "edwards-anderson": (lt.EdwardsAnderson, ("disorder", "disorder_seed")),
        }[self.model]
        options = {
            name: getattr(self, name) for name in ("q", "coupling", "disorder", "disorder_seed")
        }
        given = {name: value for name, value in options.items() if value is not None}
        for name in given:
            if name not in needs:
                option = name.replace("_", "-")
                raise ValueError(
                    f"--{option} is no option of --model {self.model}; leave it out, or choose another model"
                )
        if "q" in needs and "q" not in given:
            raise ValueError(f"--model {self.model} needs --q, its number of states")
        if "disorder_seed" in given:
            given["seed"] = given.pop("disorder_seed")
        if self.field:
            if "q" not in needs and len(self.field) > 1:
                raise ValueError(
                    f"--field of --model {self.model} must be one number, got {len(self.field)}"
                )
            given["field"] = self.field if "q" in needs else self.field[0]
        model: lt.PairModel = maker(
            self.shape, beta=self.beta, periodic=not self.open_boundaries, **given
        )
        return model


def check_folders(*files: Path | None) -> None:
    """Raise a ValueError unless every file that was asked for can be written where it is to be."""
    for file in filter(None, files):
        if not file.parent.is_dir():
            raise ValueError(
                f"there is no folder {file.parent} to save {file.name} in; make it, or choose another"
            )
        if file.is_dir():
            raise ValueError(f"{file} is a folder; give the name of a file")


def config(command: Any) -> dict[str, Any]:
    """The options of a command, ready for JSON."""
    # Names without folders: a result tells nothing of the machine.
    return {k: v.name if isinstance(v, Path) else v for k, v in dataclasses.asdict(command).items()}


def write(file: Path | None, result: dict[str, Any]) -> None:
    """Save a result as JSON, if a file was asked for."""
    if file is not None:
        file.write_text(json.dumps(result, indent=2) + "\n")
        print(f"results: {file}")


def device_name(device: torch.device) -> str:
    """Name of a device for a person."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({torch.get_num_threads()} threads)"


def announce(sampler: lt.Sampler) -> str:
    """Print model and device; returns what runs the ops there."""
    backend = lt.kernels.backend(sampler.device)
    print(f"leaps_triton {lt.__version__}: {sampler.path.model}")
    print(f"device {device_name(sampler.device)}; {backend}")
    return backend
