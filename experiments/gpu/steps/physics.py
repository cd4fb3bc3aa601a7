"""Steps that take longer than a first look: gates against exact values, physics, published runs."""

import argparse

from .common import experiment


def gates(settings: argparse.Namespace) -> None:
    """Run kernel_gates: every move of Markov chains at L = 16, 32, 64 against exact values."""
    module = experiment("kernel_gates")
    file = settings.output / "kernel_gates.json"
    kernels = tuple(module.KERNELS)
    if settings.smoke:
        # One by sweeps and one by clusters.
        kernels = ("heat-bath", "wolff")
    chosen = module.KernelGates(kernels, device=settings.device, smoke=settings.smoke, json=file)
    module.main(chosen)


def thermodynamics(settings: argparse.Namespace) -> None:
    """Run ising_thermodynamics, into the folder of results."""
    module = experiment("ising_thermodynamics")
    chosen = module.IsingThermodynamics(
        device=settings.device, smoke=settings.smoke, results=settings.output / "results"
    )
    module.main(chosen)


def published(settings: argparse.Namespace) -> None:
    """Run published_leaps on the given file, into the folder of results."""
    module = experiment("published_leaps")
    results = settings.output / "results"
    module.main(module.PublishedLeaps(settings.file, smoke=settings.smoke, results=results))
