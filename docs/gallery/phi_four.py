"""
A continuous field through its transition
=========================================

The field of φ⁴ theory takes real values, and its couplings hold the temperature: λ is scanned in
the place of β. In every table of a field ``⟨φ ∂S/∂φ⟩ = 1`` a site says whether the sampling is
right.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

SIZES = [4, 8]
WALKERS = 32
SWEEPS = 400
POINTS = 6
ANNEALED = 2048

# %%
# Hybrid Monte Carlo, with replicas at all values of λ that neighbours exchange.

values = torch.linspace(4.0, 7.0, POINTS).tolist()
scans = []
for size in SIZES:
    model = lt.PhiFour((size, size), mass_squared=-4.0, quartic=values[-1])
    options = {"method": "tempering", "walkers": WALKERS, "sweeps": SWEEPS, "seed": size}
    scans.append(lt.scan(model, quartic=values, **options))

# %%
# Annealing from a free field to one of these points gives log Z itself, by exact weights.

model = lt.PhiFour((SIZES[0], SIZES[0]), mass_squared=-4.0, quartic=values[-1])
path = lt.AnnealingPath(model, start=lt.FreeField(mass_squared=1.0))
sampler = lt.Sampler(path, None, lt.MapStep(intervals=50), lt.HMC(leapfrogs=2))
ensemble = sampler.sample(walkers=ANNEALED, seed=1)
checks = [ensemble.estimate("schwinger_dyson")]
for found in scans:
    checks += found.estimate("schwinger_dyson")
print(f"log Z {ensemble.log_z:.3f} ± {ensemble.log_z_error:.3f}, ESS {ensemble.ess:.2f}")
print("⟨φ ∂S/∂φ⟩ of annealed walkers:", checks[0])

# %%
# The Binder cumulants of two sizes cross near the transition; χ grows with the size below it.

figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
names = ["binder", "susceptibility_full", "schwinger_dyson"]
labels = ["Binder cumulant", "V⟨M²⟩", "⟨φ ∂S/∂φ⟩"]
for axes, name, label in zip(panels, names, labels, strict=True):
    for size, found in zip(SIZES, scans, strict=True):
        points = found.estimate(name)
        y = [point.value for point in points]
        errors = [point.error for point in points]
        axes.errorbar(found.places, y, errors, fmt="o-", capsize=2, label=f"L = {size}")
    axes.set(xlabel="λ", ylabel=label)
panels[2].axhline(1.0, color="grey", linestyle="--")
panels[0].legend()
