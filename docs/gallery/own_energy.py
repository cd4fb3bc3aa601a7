"""
An energy function of one's own
===============================

Four attributes make a model: ``lattice``, ``q``, ``beta`` and ``energy``. Here three spins interact
at once, as in the Baxter–Wu model, which no table of pairs can say.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SHAPE = (3, 6)
WALKERS = 64
SWEEPS = 400


# %%
# The energy takes configurations ``(walkers, *shape)`` of values 0 and 1, and returns one number
# per walker. On the square lattice with one diagonal, each site begins two triangles.


class BaxterWu:
    """H = -Σ s_i s_j s_k over all triangles of a triangular lattice."""

    def __init__(self, shape, beta):
        self.lattice = lt.Lattice(shape)
        self.q = 2
        self.beta = beta

    def energy(self, configurations):
        spins = 2.0 * configurations.double() - 1.0
        right = spins.roll(-1, 2)
        down = spins.roll(-1, 1)
        diagonal = right.roll(-1, 1)
        return -(spins * diagonal * (right + down)).sum((1, 2))


# %%
# Every sampler takes it. Each move costs energies of the whole lattice, so this is for small
# lattices, or for checking a faster model before it is trusted.

temperatures = torch.linspace(2.0, 4.4, 7).tolist()
estimates, exact = [], []
for seed, temperature in enumerate(temperatures):
    model = BaxterWu(SHAPE, beta=1.0 / temperature)
    chain = lt.run_chain(model, lt.HeatBath(), WALKERS, SWEEPS, seed=seed)
    estimates.append(chain.estimate("specific_heat"))
    exact.append(lt.exact.specific_heat(model))
pulls = [estimate.pull(known) for estimate, known in zip(estimates, exact, strict=True)]
print("pulls:", ", ".join(f"{pull:+.1f}" for pull in pulls))

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.plot(temperatures, exact, "_k", markersize=16, label="all configurations")
values, errors = [e.value for e in estimates], [e.error for e in estimates]
axes.errorbar(temperatures, values, errors, fmt="o", markersize=4, capsize=2, label="heat bath")
axes.set_xlabel("temperature  [$J/k_B$]")
axes.set_ylabel("specific heat per site  [$k_B$]")
axes.legend()
