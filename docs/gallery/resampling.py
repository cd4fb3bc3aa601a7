"""
Resampling along the path
=========================

Annealed weights spread as the temperature falls. Sequential Monte Carlo draws a block of walkers
anew, by weight, whenever its effective sample size has fallen too low.
"""

import matplotlib.pyplot as plt

import leaps_triton as lt

SIZE = 10
BLOCK = 128
BLOCKS = 32
INTERVALS = 40

model = lt.EdwardsAnderson((SIZE, SIZE), beta=1.2, seed=1)
path = lt.AnnealingPath(model)
jump = lt.Jump(INTERVALS)
move = lt.HeatBath()

# %%
# After a resampling the walkers of a block are related, so that errors come from the spread of the
# blocks: take some dozen of them.

samplers = {
    "annealing alone": lt.Sampler(path, None, jump, move, block=BLOCK),
    "resampled below 0.5": lt.Sampler(path, None, jump, move, resample_below=0.5, block=BLOCK),
}

exact = lt.exact.log_z(model)
ensembles, pulls = {}, []
for name, sampler in samplers.items():
    ensemble = sampler.sample(walkers=BLOCK * BLOCKS, seed=1)
    ensembles[name] = ensemble
    log_z = lt.Estimate(ensemble.log_z, ensemble.log_z_error)
    pulls.append(log_z.pull(exact))
    print(f"{name}: log Z = {log_z}, {pulls[-1]:+.1f} σ from the transfer matrix")

# %%
# The curves are of all blocks together, each of which is resampled at times of its own. The second
# counts the weights since the last resampling, and not that walkers have ancestors in common.

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
lt.plotting.ess_along_path(axes, ensembles)
