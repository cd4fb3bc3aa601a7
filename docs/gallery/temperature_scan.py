"""
Temperature scan with exact curves
==================================

Markov chains of the two-dimensional Ising model at nine temperatures, beside Kaufman's exact
energy and specific heat of the same finite lattice.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SIZE = 16
WALKERS = 32
SWEEPS = 300

# %%
# Each chain has a seed of its own, so that the nine points are independent of one another.

temperatures = torch.linspace(1.8, 3.2, 9).tolist()
chains = []
for seed, temperature in enumerate(temperatures):
    model = lt.Ising((SIZE, SIZE), beta=1.0 / temperature)
    measured = ["energy", "specific_heat"]
    chain = lt.run_chain(model, lt.SwendsenWang(), WALKERS, SWEEPS, seed=seed, observables=measured)
    chains.append(chain)

# %%
# :mod:`leaps_triton.exact` takes the cheapest exact route to a model: here Kaufman's formula. A
# pull is the distance from the exact value in units of the error, so that about two thirds of the
# pulls lie between -1 and 1.

exact = {"energy": lt.exact.energy, "specific_heat": lt.exact.specific_heat}
labels = {"energy": "energy per site  [$J$]", "specific_heat": "specific heat per site  [$k_B$]"}
curve = torch.linspace(1.75, 3.25, 61).tolist()
pulls = []

figure, grid = plt.subplots(
    2, 2, figsize=(8, 5), sharex=True, height_ratios=[3, 1], layout="constrained"
)
for column, name in enumerate(exact):
    above, below = grid[:, column]
    estimates = [chain.estimate(name) for chain in chains]
    values = [estimate.value for estimate in estimates]
    errors = [estimate.error for estimate in estimates]
    found = [e.pull(exact[name](chain.model)) for e, chain in zip(estimates, chains, strict=True)]
    pulls += found
    line = [exact[name](lt.Ising((SIZE, SIZE), beta=1.0 / t)) for t in curve]
    above.plot(curve, line, color="grey", label="exact")
    above.errorbar(temperatures, values, errors, fmt="o", markersize=4, capsize=2, label="chains")
    above.set_ylabel(labels[name])
    below.axhspan(-1, 1, color="grey", alpha=0.25, linewidth=0)
    below.plot(temperatures, found, "o", markersize=4)
    below.set_ylim(-4, 4)
    below.set_ylabel("pull [σ]")
    below.set_xlabel("temperature  [$J/k_B$]")
grid[0, 0].legend()

print(f"mean square of {len(pulls)} pulls: {sum(p**2 for p in pulls) / len(pulls):.2f}")
