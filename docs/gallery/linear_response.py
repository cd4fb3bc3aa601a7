"""
Rates by linear response
========================

How a spin is to follow the field of all others is linear in them, far from a critical point. The
kernel of that response is found by least squares from equilibrium samples, within seconds, and is
a transport already: no network, no training.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SIZE = 8
SAMPLES = 1000
WALKERS = 4096

model = lt.Ising((SIZE, SIZE), beta=0.4407)
path = lt.AnnealingPath(model)

# %%
# Samples of every time along the path, by clusters that are annealed to the target.

times = torch.linspace(1 / 32, 1.0, 32)
samples = lt.training.equilibrate(path, times, SAMPLES, "swendsen_wang", seed=0)
response = lt.linear_response(path, samples)

# %%
# Weights spread as the energy varies, less what the rates make up for. The response makes up for
# nearly all at high temperature, for two thirds at the critical point. It serves every β below.

pulls = []
for beta in (0.3, 0.4407):
    target = lt.AnnealingPath(model.at(beta))
    ensemble = lt.Sampler(target, response, lt.Jump(intervals=12)).sample(WALKERS, seed=1)
    log_z = lt.Estimate(ensemble.log_z, ensemble.log_z_error)
    pulls.append(log_z.pull(lt.exact.log_z(target.model)))
    print(f"beta {beta}: ESS {ensemble.ess:.3f}, log Z = {log_z}, {pulls[-1]:+.1f} σ from exact")

# %%
# By ``network.stand_on(response)`` a network stands on it, and has only the rest to learn.

figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained")
for node in (0, 16, 24, 32):
    kernel = response.kernels[node] / response.kernels[node, 0]
    left.plot(kernel, "o-", label=f"β = {float(response.betas[node]):.2f}")
left.set_xlabel("ring of neighbours")
left.set_ylabel("kernel, of nearest neighbours'")
left.legend()
beta, before, after = response.fit.T
right.semilogy(beta, before, label="variance of the energy")
right.semilogy(beta, after, label="with linear response")
right.set_xlabel("β")
right.set_ylabel("variance")
right.legend()
