"""
Observables of one's own
========================

A function of configurations is averaged. A function of such averages, here a skewness, is given as
``function=``. Both work on Markov chains and on weighted walkers, with their errors.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

WALKERS = 64
SWEEPS = 500
WEIGHTED = 2000


def domain_walls(configurations, model):
    """Share of the bonds that join unlike spins."""
    unlike = [configurations != configurations.roll(1, axis) for axis in (1, 2)]
    return torch.stack(unlike, dim=1).double().mean((1, 2, 3))


def moments(configurations, model):
    energy = model.energy(configurations)
    return torch.stack([energy, energy**2, energy**3], dim=1)


def skewness(means):
    first, second, third = means.unbind(-1)
    variance = second - first**2
    return (third - 3 * first * variance - first**3) / variance**1.5


# %%
# Exact values of a 4 × 4 lattice, drawn as bars, come from all of its configurations.

figure, grid = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
grid[0].set(xlabel="temperature  [$J/k_B$]", ylabel="domain walls per bond")
grid[1].set(xlabel="temperature  [$J/k_B$]", ylabel="skewness of the energy")
pulls = []
for seed, temperature in enumerate([1.6, 2.0, 2.4, 2.8, 3.2, 3.6]):
    model = lt.Ising((4, 4), beta=1.0 / temperature)
    measured = [domain_walls, moments]
    chain = lt.run_chain(model, lt.HeatBath(), WALKERS, SWEEPS, seed=seed, observables=measured)
    annealing = lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(30), lt.HeatBath())
    ensemble = annealing.sample(WEIGHTED, seed=seed)
    law = lt.exact.enumerate_model(model)
    exact = [law.mean(domain_walls, model), skewness(law.mean(moments, model))]
    for run, style, shift in [(chain, "oC0", -0.04), (ensemble, "sC1", 0.04)]:
        found = [run.estimate(domain_walls), run.estimate(moments, function=skewness)]
        for axes, known, estimate in zip(grid, exact, found, strict=True):
            axes.plot(temperature, known, "_k", markersize=18)
            axes.errorbar(temperature + shift, estimate.value, estimate.error, fmt=style, capsize=2)
            pulls.append(estimate.pull(float(known)))
grid[1].legend(grid[1].containers[:2], ["chains", "weighted walkers"])
