"""
Learned rates or annealing alone
================================

Without a network the same sampler is annealed importance sampling. Both give unbiased estimates,
and the spread of their log-weights says how many walkers are worth how much.
"""

import time

import matplotlib.pyplot as plt

import leaps_triton as lt

SIZE = 8
STEPS = 300
WALKERS = 2000
INTERVALS = 25

model = lt.Ising((SIZE, SIZE), beta=0.4407)
path = lt.AnnealingPath(model)
network = lt.LocalRates(model)
learned = lt.Sampler(path, network, lt.Jump(INTERVALS), lt.HeatBath(sweeps=1))
annealed = lt.Sampler(path, None, lt.Jump(INTERVALS), lt.HeatBath(sweeps=1))

start = time.perf_counter()
lt.Trainer(learned, lt.TrainingConfig(steps=STEPS, learning_rate=2e-2)).run()
print(f"training: {time.perf_counter() - start:.1f} s")

# %%
# Even weights are not all that counts: a sweep is much cheaper than a network, so the two are
# compared by what a second of sampling gives as well.

exact = lt.exact.log_z(model)
ensembles, pulls = {}, []
for name, sampler in [("learned rates", learned), ("annealing alone", annealed)]:
    start = time.perf_counter()
    ensemble = sampler.sample(WALKERS, seed=1)
    seconds = time.perf_counter() - start
    ensembles[name] = ensemble
    pulls.append((ensemble.log_z - exact) / ensemble.log_z_error)
    effective = ensemble.ess * WALKERS / seconds
    print(f"{name}: ESS {ensemble.ess:.3f}, {effective:.0f} effective walkers per second")
    print(f"    log Z = {ensemble.log_z:.4f} ± {ensemble.log_z_error:.4f}, exact {exact:.4f}")

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
lt.plotting.weight_histogram(axes, ensembles)
