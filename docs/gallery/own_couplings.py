"""
A glass from couplings of one's own
===================================

Any tensor of couplings makes a spin glass. Three bonds in ten are antiferromagnetic here, and the
overlap of two independent replicas tells how many ways the spins have found to live with that.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SIZE = 8
BETA = 1.2
WALKERS = 64
SWEEPS = 1000

# %%
# Entry ``[d, i, j]`` is the bond from site ``(i, j)`` to the next one in direction ``d``. Couplings
# measured elsewhere come in as any tensor of this shape.

antiferromagnetic = torch.rand(2, SIZE, SIZE, generator=torch.Generator().manual_seed(3)) < 0.3
coupling = torch.where(antiferromagnetic, -1.0, 1.0)
model = lt.EdwardsAnderson((SIZE, SIZE), beta=BETA, coupling=coupling)

# %%
# Parallel tempering carries configurations through high temperatures, over the barriers between
# valleys. The last of its inverse temperatures is the model's own. The overlap is measured between
# walkers 0 and 1, 2 and 3, and so on.

tempering = lt.ParallelTempering(betas=[0.3, 0.48, 0.66, 0.84, 1.02, BETA])
chain = lt.run_chain(model, tempering, WALKERS, SWEEPS, seed=1, observables=["energy", "overlap"])
energy = chain.estimate("energy")
pull = energy.pull(lt.exact.energy(model))
print(f"energy per site {energy}, {pull:+.1f} σ from the transfer matrix")

# %%
# Independent exact samples of so small a lattice give the same law. Each bin holds five of the 65
# values that the overlap can take.

samples = lt.exact.sample(model, n=4000, seed=2)
overlaps = lt.observables.overlap(samples[::2], samples[1::2], model)
outer = 1.0 + 1.0 / model.lattice.sites
edges = torch.linspace(-outer, outer, 14, dtype=torch.float64)
found = lt.estimators.overlap_distribution(chain.values["overlap"], edges)
exact = lt.estimators.overlap_distribution(overlaps, edges)

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.stairs(exact.density, edges, color="grey", label="exact samples")
axes.errorbar(exact.centres, exact.density, exact.error, fmt="none", color="grey")
axes.errorbar(
    found.centres, found.density, found.error, fmt="o", capsize=2, label="parallel tempering"
)
axes.set_xlabel("overlap of two replicas  $q$")
axes.set_ylabel("density  $P(q)$")
axes.set_ylim(bottom=0)
axes.legend(loc="lower center")
