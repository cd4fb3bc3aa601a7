"""
Binder cumulant of the 3D Ising model
=====================================

No exact solution is known in three dimensions, but the Binder cumulants of different lattices cross
near the critical temperature, 4.511523 J/k_B, at a value that is the same for all of them, 0.4655
for large cubes.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SIZES = [4, 6, 8]
WALKERS = 32
SWEEPS = 200
CRITICAL = 4.511523

# %%
# Swendsen–Wang clusters decorrelate critical configurations within a few updates.

measured = ["energy", "binder"]
move = lt.SwendsenWang()
chains = []
for size in SIZES:
    for temperature in torch.linspace(CRITICAL - 0.2, CRITICAL + 0.2, 5).tolist():
        model = lt.Ising((size, size, size), beta=1.0 / temperature)
        seed = len(chains)
        chain = lt.run_chain(model, move, WALKERS, SWEEPS, seed=seed, observables=measured)
        chains.append(chain)

# %%
# The third temperature of each lattice is the critical one. The cumulants of such small lattices
# are still above the value of large cubes, to which they fall slowly.

for size, chain in zip(SIZES, chains[2::5], strict=True):
    estimate = chain.estimate("binder")
    print(f"L = {size}: U = {estimate} at T_c, autocorrelation time {estimate.tau:.2f} updates")

# %%
# Critical temperature: Ferrenberg, Xu, Landau, *Phys. Rev. E* 97, 043301 (2018). Value of the
# cumulant: Hasenbusch, *Phys. Rev. B* 82, 174433 (2010).

figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
axes.axvline(CRITICAL, color="grey", linestyle="--", linewidth=1, label="$T_c$")
axes.axhline(0.4655, color="grey", linestyle=":", linewidth=1, label="large cubes, $T_c$")
lt.physics_plots.binder_crossing(axes, chains)
