"""
A scan in one annealing run
===========================

Annealed walkers pass every temperature on their way, and have exact weights at each. So one run
gives log Z and the specific heat at all of them, beside a scan by Markov chains and Kaufman's exact
curves.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SIZE = 8
WALKERS = 4000
CHAINS = 32
SWEEPS = 1000

model = lt.Ising((SIZE, SIZE), beta=0.5)
betas = torch.linspace(0.0, 0.5, 11).tolist()

# %%
# Both methods begin at β = 0, where log Z = N log 2 is known, so that log Z is absolute.

annealed = lt.scan(model, betas, "annealing", walkers=WALKERS, seed=1)
chains = lt.scan(model, betas, "chains", walkers=CHAINS, sweeps=SWEEPS, seed=2)

# %%
# The ESS of the weights falls on the way. Where it is small the errors of annealing grow, and those
# of the chains do not; but the chains know log Z only from one temperature to the next.

curve = torch.linspace(0.0, 0.5, 61).tolist()
exact = {
    "log Z": [lt.exact.log_z(model.at(beta)) for beta in betas],
    "specific heat per site  [$k_B$]": [lt.exact.specific_heat(model.at(beta)) for beta in curve],
}
figure, axes = plt.subplots(3, 1, figsize=(6.4, 7), sharex=True, layout="constrained")
pulls = []
for scan, shift in [(annealed, -0.002), (chains, 0.002)]:
    moved = [beta + shift for beta in betas]
    off = [each.value - known for each, known in zip(scan.log_z, exact["log Z"], strict=True)]
    axes[0].errorbar(moved, off, [each.error for each in scan.log_z], fmt="o", label=scan.method)
    found = scan.estimate("specific_heat")
    heights = [each.value for each in found]
    axes[1].errorbar(moved, heights, [each.error for each in found], fmt="o", markersize=4)
    pairs = zip(scan.log_z[1:], exact["log Z"][1:], strict=True)
    pulls += [each.pull(known) for each, known in pairs]
axes[0].set_ylabel("log Z − exact")
axes[0].legend(loc="upper left")
axes[1].plot(curve, exact["specific heat per site  [$k_B$]"], color="grey", zorder=0)
axes[1].set_ylabel("specific heat per site  [$k_B$]")
axes[2].plot(betas, [run.ess for run in annealed.runs], "o-", markersize=4)
axes[2].set_ylabel("ESS of annealing / walkers")
axes[2].set_xlabel("inverse temperature β  [$1/J$]")
