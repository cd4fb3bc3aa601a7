"""
Chains in ArviZ
===============

Chains go to ArviZ as they are: walkers become its chains, draws its draws, and its tables,
diagnostics and figures can follow. This example needs no more than ``arviz-base``, which the extra
``leaps_triton[arviz]`` installs.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SIZE = 12
SWEEPS = 500

model = lt.Ising((SIZE, SIZE), beta=0.42)
ordered = torch.ones(4, SIZE, SIZE, dtype=torch.int8)
observables = ["energy", "abs_magnetization"]
chain = lt.run_chain(
    model, lt.HeatBath(), 4, SWEEPS, burn_in=0, start=ordered, seed=1, observables=observables
)
tree = lt.export.to_arviz(chain)
print(tree)

# %%
# What comes out is xarray, with all of its selections and means. All chains were started ordered,
# and without a burn-in, so the first draws are left out here.

settled = tree["posterior"].sel(draw=slice(SWEEPS // 10, None))
print(settled.mean().to_dataset())

# %%
# The potential scale reduction of Gelman and Rubin compares the spread between chains with that
# within them: 1 for chains that agree. ``arviz-stats`` has a better one, ``arviz_stats.rhat``.

for name in observables:
    draws = settled[name]
    within = draws.var("draw", ddof=1).mean()
    between = draws.mean("draw").var(ddof=1)
    print(f"{name}: R = {float(((within + between) / within) ** 0.5):.3f}")

figure, (left, right) = plt.subplots(
    1, 2, figsize=(8, 3.6), sharey=True, width_ratios=[3, 1], layout="constrained"
)
for walker in tree["posterior"].chain.values:
    energy = tree["posterior"]["energy"].sel(chain=walker)
    left.plot(energy.draw, energy, linewidth=0.6, label=f"chain {walker}")
    kept = settled["energy"].sel(chain=walker)
    right.hist(kept, 20, density=True, histtype="step", orientation="horizontal")
left.set_xlabel("draw")
left.set_ylim(top=-0.4)
left.set_ylabel("energy per site  [$J$]")
right.set_xlabel("density  [$1/J$]")
left.legend(ncols=4, loc="upper center", fontsize=8)
