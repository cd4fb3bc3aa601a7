"""
Reweighting to other temperatures
=================================

One chain tells of temperatures beside its own: every draw gets the weight that it would have there.
The effective sample size of these weights says how far that carries.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SIZE = 16
BETA = 0.43
WALKERS = 32
SWEEPS = 1000

model = lt.Ising((SIZE, SIZE), beta=BETA)
chain = lt.run_chain(model, lt.SwendsenWang(), WALKERS, SWEEPS, seed=1, observables=["energy"])
sites = model.lattice.sites
energies = chain.values["energy"] * sites
moments = torch.stack([energies, energies**2], dim=-1)

# %%
# The specific heat is a function of two means, of H and of H². Its error knows that numerator and
# denominator of the weighted means come from the same draws.


def variance(means):
    return means[..., 1] - means[..., 0] ** 2


betas = torch.linspace(BETA - 0.04, BETA + 0.04, 17).tolist()
values, errors, sizes = [], [], []
for beta in betas:
    result = lt.estimators.reweight(energies, moments, BETA, beta, function=variance)
    values.append(beta**2 * result.value / sites)
    errors.append(beta**2 * result.error / sites)
    sizes.append(result.ess)
exact = [lt.exact.ising_specific_heat((SIZE, SIZE), beta) for beta in betas]

# %%
# The points share their draws, so that they lie above or below the exact curve together. Where few
# draws are left, both the value and its error are no longer to be trusted.

figure, (above, below) = plt.subplots(
    2, 1, figsize=(6.4, 5), sharex=True, height_ratios=[3, 1], layout="constrained"
)
above.plot(betas, exact, color="grey", label="exact")
above.errorbar(
    betas, values, errors, fmt="o", markersize=4, capsize=2, label=f"reweighted from β = {BETA}"
)
above.set_ylabel("specific heat per site  [$k_B$]")
above.legend(loc="lower right")
below.plot(betas, sizes, "o-", markersize=4)
below.set_ylim(0, 1.05)
below.set_ylabel("ESS / draws")
below.set_xlabel("inverse temperature β  [$1/J$]")
