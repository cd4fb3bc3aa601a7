"""
log Z against β
===============

A plain Markov chain does not know its partition function. Annealed walkers do, since they start
where log Z is known, and so do the replicas of parallel tempering, if one of them is at β = 0. Here
for a spin glass of 36 sites, beside the transfer matrix.
"""

import matplotlib.pyplot as plt

import leaps_triton as lt

SHAPE = (6, 6)
WALKERS = 2000
CHAINS = 32
SWEEPS = 500

betas = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
models = [lt.EdwardsAnderson(SHAPE, beta=beta, seed=1) for beta in betas]
exact = [lt.exact.log_z(model) for model in models]

# %%
# Annealing: one run for each β.

annealed = []
for seed, model in enumerate(models[1:]):
    sampler = lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(50), lt.HeatBath())
    ensemble = sampler.sample(WALKERS, seed=seed)
    annealed.append(lt.Estimate(ensemble.log_z, ensemble.log_z_error))

# %%
# Tempering: one run for all. Each replica says how much larger Z is at the next β, from β = 0 on.
# All its values come from the same draws, so that they are off together.

coldest = models[-1]
tempering = lt.ParallelTempering(betas=betas)
measured = ["replica_energies"]
chain = lt.run_chain(coldest, tempering, CHAINS, SWEEPS, seed=1, observables=measured)
energies = chain.values["replica_energies"]
stones = []
for count in range(2, len(betas) + 1):
    rise = lt.estimators.stepping_stones(energies[..., :count], betas[:count])
    stones.append(lt.Estimate(exact[0] + rise.value, rise.error))

figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 5), sharex=True, layout="constrained")
above.plot(betas, exact, "_k", markersize=20, label="exact")
pulls = []
for name, found, size in [("annealing", annealed, 9), ("tempering", stones, 4)]:
    errors = [estimate.error for estimate in found]
    differences = [e.value - known for e, known in zip(found, exact[1:], strict=True)]
    pulls += [e.pull(known) for e, known in zip(found, exact[1:], strict=True)]
    above.plot(betas[1:], [e.value for e in found], "o", markersize=size, label=name)
    shifted = [beta - 0.003 * size for beta in betas[1:]]
    below.errorbar(shifted, differences, errors, fmt="o", markersize=4, capsize=2)
above.set_ylabel("log Z")
above.legend()
below.axhline(0, color="grey", linewidth=1)
below.set_ylabel("log Z − exact")
below.set_xlabel("inverse temperature β  [$1/J$]")
