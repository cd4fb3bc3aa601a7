"""
Autocorrelation times of four moves
===================================

At the critical temperature single-site moves forget more and more slowly as the lattice grows,
cluster moves hardly so. The time is that of the magnetisation, in updates of each move.
"""

import matplotlib.pyplot as plt

import leaps_triton as lt

SIZES = [4, 6, 8, 12]
WALKERS = 16
SLOW = 1500
FAST = 300

# %%
# Slow moves need more updates, of which every second one is measured. A Wolff update changes one
# cluster, which is cheaper than a sweep of the lattice in other programs, but not in this one.

moves = {
    "Metropolis": (lt.Metropolis(), SLOW, 2),
    "heat bath": (lt.HeatBath(), SLOW, 2),
    "Wolff": (lt.Wolff(), FAST, 1),
    "Swendsen–Wang": (lt.SwendsenWang(), FAST, 1),
}
measured = ["abs_magnetization"]
times = {}

figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
for seed, (name, (move, updates, thin)) in enumerate(moves.items()):
    values, errors = [], []
    for size in SIZES:
        model = lt.Ising((size, size), beta=0.4407)
        chain = lt.run_chain(model, move, WALKERS, updates, thin, seed, observables=measured)
        # τ counts draws.
        estimate = chain.estimate("abs_magnetization")
        values.append(estimate.tau * thin)
        errors.append(estimate.tau_error * thin)
    times[name] = values
    axes.errorbar(SIZES, values, errors, fmt="o-", markersize=4, linewidth=1, capsize=2, label=name)

axes.set_xscale("log")
axes.set_yscale("log")
axes.set_xticks(SIZES, [str(size) for size in SIZES], minor=False)
axes.xaxis.minorticks_off()
axes.set_xlabel("length of the lattice  [sites]")
axes.set_ylabel("autocorrelation time  [updates]")
axes.legend()
