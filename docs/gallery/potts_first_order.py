"""
First-order transition of the Potts model
=========================================

With ten states the two-dimensional Potts model jumps between phases: near the transition the energy
has two peaks, and few configurations lie between.
"""

import math

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SIZE = 8
BETA = 1.405
WALKERS = 32
SWEEPS = 6000

# %%
# The barrier slows all moves down. Half of the walkers start ordered and half at random, so that a
# chain too short to cross it would show in the spread of their means, and the estimates would warn.

model = lt.Potts((SIZE, SIZE), q=10, beta=BETA)
start = lt.AnnealingPath(model).start.sample(torch.arange(WALKERS), seed=5)
start[::2] = 0
move = lt.SwendsenWang()
chain = lt.run_chain(model, move, WALKERS, SWEEPS, seed=1, start=start, observables=["energy"])
energy = chain.estimate("energy")
print(f"β = {BETA}, on the infinite lattice the transition is at {math.log(1 + math.sqrt(10)):.5f}")
print(f"energy per site {energy}, autocorrelation time {energy.tau:.0f} updates")

# %%
# The height of a bin is the mean of an indicator, so :func:`leaps_triton.estimators.chain_estimate`
# gives it an error that knows the autocorrelation. Each bin holds four of the energies that occur.
# The dashed lines are Baxter's energies of the two phases on the infinite lattice; the peaks of so
# small a lattice lie outside of them.

values = chain.values["energy"]
width = 4.0 / model.lattice.sites
centres, heights, errors = [], [], []
for low in torch.arange(-2.0 - width / 8, 0.0, width, dtype=torch.float64).tolist():
    inside = ((values >= low) & (values < low + width)).double() / width
    if inside.any():
        height = lt.estimators.chain_estimate(inside, least_window=energy.window)
        centres.append(low + width / 2)
        heights.append(height.value)
        errors.append(height.error)

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.errorbar(centres, heights, errors, fmt="o-", markersize=4, linewidth=1, capsize=2)
axes.axvline(
    -1.6643, color="grey", linestyle="--", linewidth=1, label="ordered, disordered: $L = \\infty$"
)
axes.axvline(-0.9682, color="grey", linestyle="--", linewidth=1)
axes.set_xlabel("energy per site  [$J$]")
axes.set_ylabel("density of configurations  [$1/J$]")
axes.set_ylim(bottom=0)
axes.legend()
