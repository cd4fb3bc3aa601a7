"""
Domains that grow after a quench
================================

A large lattice that is cooled at once from random spins orders in domains, whose walls get shorter
as :math:`t^{-1/2}` (Bray, *Adv. Phys.* 43, 357, 1994). The sweeps act on 32 spins at once, as bits
of a word.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

LENGTH = 512
TIMES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
SHOWN = [4, 32, 256]

model = lt.Ising((LENGTH, LENGTH), beta=0.8)
path = lt.AnnealingPath(model)
walkers = torch.arange(2)
state = lt.HeatBath().init(path.start.sample(walkers, seed=0), walkers)

# %%
# A sweep is a unit of time. Walls cost energy above that of equilibrium, which is known exactly.

floor = lt.exact.ising_energy((LENGTH, LENGTH), model.beta)
excess, snapshots = [], {}
for time in TIMES:
    move = lt.HeatBath(sweeps=time - state.sweep, packed=True)
    state, _ = move.step(state, path, t=1.0, seed=1)
    energies = lt.observables.energy(state.configurations, model)
    excess.append(float(energies.mean()) - floor)
    if time in SHOWN:
        snapshots[time] = state.configurations[0]

figure, axes = plt.subplots(2, 2, figsize=(6.4, 6.2), layout="constrained")
for axis, (time, spins) in zip(axes.flat[:3], snapshots.items(), strict=True):
    axis.imshow(spins.numpy(), cmap="gray", interpolation="nearest")
    axis.set(xlabel=f"after {time} sweeps", xticks=[], yticks=[])
walls = axes[1, 1]
walls.loglog(TIMES, excess, "o", markersize=4, label="measured")
walls.loglog(TIMES, [excess[-1] * (t / TIMES[-1]) ** -0.5 for t in TIMES], label=r"$t^{-1/2}$")
walls.set_xlabel("time  [sweeps]")
walls.set_ylabel("energy of the walls per site")
walls.legend()
plt.show()
