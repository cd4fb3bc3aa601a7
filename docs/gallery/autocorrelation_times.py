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
SWEEPS = 4000

# %%
# A draw every few updates is enough for the slow moves; ``chain.thin`` brings their times back to
# updates. A Wolff update changes one cluster, which is cheaper than a sweep of the lattice in other
# programs, but not in this one.

moves = {
    "Metropolis": (lt.Metropolis(), 10),
    "heat bath": (lt.HeatBath(), 10),
    "Wolff": (lt.Wolff(), 1),
    "Swendsen–Wang": (lt.SwendsenWang(), 1),
}

figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
times = {}
for seed, (name, (move, thin)) in enumerate(moves.items()):
    values, errors = [], []
    for size in SIZES:
        model = lt.Ising((size, size), beta=0.4407)
        sweeps = SWEEPS * thin // 10
        chain = lt.run_chain(
            model, move, WALKERS, sweeps, thin, seed, observables=["abs_magnetization"]
        )
        estimate = chain.estimate("abs_magnetization")
        values.append(estimate.tau * thin)
        errors.append(estimate.tau_error * thin)
    times[name] = values
    axes.errorbar(SIZES, values, errors, fmt="o-", markersize=4, linewidth=1, capsize=2, label=name)

axes.set_xscale("log")
axes.set_yscale("log")
axes.set_xticks(SIZES, [str(size) for size in SIZES], minor=False)
axes.minorticks_off()
axes.set_xlabel("length of the lattice  [sites]")
axes.set_ylabel("autocorrelation time  [updates]")
axes.legend()
