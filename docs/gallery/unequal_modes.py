"""
Curves to two unequal modes
===========================

Along the linear curve of energies mass has to cross from mode to mode where there is next to none:
it is teleported. Curves whose energy is learned need not.
"""

import matplotlib.pyplot as plt

import leaps_triton as lt

FIRST = 100
STEPS = 25
WALKERS = 4096
ANNEALED = 2048

# %%
# One target, 0.2 N(-2, ½²) + 0.8 N(2, ½²), and three curves to it from N(0, 1). Adam begins, and
# steps of Gauss and Newton follow.

model = lt.GaussianMixture.two(separation=2.0)
start = lt.Gaussian(1.0)
psi = lt.LearnedEnergy(model, width=12)
curves = {
    "linear": lt.AnnealingPath(model, start=start),
    "learned": lt.AnnealingPath(model, start=start, correction=psi),
    "gradient flow": lt.GradientFlowPath(model, lt.LearnedEnergy(model, width=12), start=start),
}
drifts = {name: lt.DenseDrift(model, width=12) for name in ("linear", "learned")}
config = lt.TrainingConfig.gauss_newton(steps=FIRST + STEPS, adam_steps=FIRST, bins=16, buffer=96)
pulls = []
norms = {}
times = [0.1, 0.3, 0.5, 0.7, 0.9]
for name, path in curves.items():
    sampler = lt.Sampler(path, drifts.get(name), lt.PathRatio(40, diffusion=0.1))
    lt.Trainer(sampler, config).run()
    ensemble = sampler.sample(WALKERS, seed=0)
    left, _ = model.mode_masses(ensemble)
    plain = (model.modes(ensemble.configurations) == 0).double().mean()
    print(f"{name}: left mode {left}, without weights {plain:.3f}, ESS {ensemble.ess:.2f}")
    pulls.append(left.pull(0.2))
    norms[name] = [lt.exact.velocity_norm(path.log_density, t) for t in times]

# %%
# Forty modes in the plane, by trajectories alone; the start must cover all of them.
forty = lt.GaussianMixture.forty()
wide = lt.AnnealingPath(forty, start=lt.Gaussian(25.0))
found = lt.Sampler(wide, None, lt.MapStep(100), lt.HMC(leapfrogs=2)).sample(ANNEALED, seed=1)
pulls.append((found.log_z - forty.log_z) / found.log_z_error)

figure, (speeds, plane) = plt.subplots(1, 2, figsize=(8.0, 3.6), layout="constrained")
for name, values in norms.items():
    speeds.plot(times, values, "o-", label=name)
speeds.set(xlabel="t", ylabel="‖v‖² of the least velocity", yscale="log")
speeds.legend()
plane.plot(*found.configurations.T, ".", markersize=1)
plane.plot(*forty.means.T, "x", color="C3")
plane.set(xlabel="x", ylabel="y")
