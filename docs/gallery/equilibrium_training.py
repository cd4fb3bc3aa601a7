"""
Training on samples of equilibrium
==================================

A ferromagnet has fast chains at every temperature. On their samples a linear response is fitted
first, which is nearly exact while the model is hot; a network stands on it and learns the rest, by
Gauss-Newton steps in the space of samples. Held-out samples tell what is left to learn.
"""

import matplotlib.pyplot as plt

import leaps_triton as lt

SIZE = 6
STEPS = 100
WALKERS = 1000
SAMPLES = 512

model = lt.Ising((SIZE, SIZE), beta=0.4407)
path = lt.AnnealingPath(model)

# %%
# The response tells the variance of the residual before and after its fit, at each temperature.

response = lt.training.fit_response(path, "swendsen_wang", walkers=SAMPLES, times=16)
for beta, before, after in response.fit[1::5].tolist():
    print(f"β = {beta:.3f}: variance {before:.3g} → {after:.3g}")

# %%
# Below its gate the network adds nothing, so that times before it need no training.

network = lt.SymmetricConv(model, kernel_size=5, widths=(24, 12)).stand_on(response)
sampler = lt.Sampler(path, network, lt.Jump(intervals=12))
config = lt.TrainingConfig.spring(
    steps=STEPS,
    buffer=SAMPLES,
    first_time=0.3,
    evaluate_every=max(1, STEPS // 3),
    evaluation_walkers=256,
)
history = lt.Trainer(sampler, config).run()
ensemble = sampler.sample(WALKERS, seed=1)
log_z = lt.Estimate(ensemble.log_z, ensemble.log_z_error)
pulls = [log_z.pull(lt.exact.log_z(model))]
print(f"ESS {ensemble.ess:.3f}, log Z = {log_z}, {pulls[0]:+.1f} σ from exact")

# %%
# The spread of the residual falls at all times, and with it the variance that walkers gather.

figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
lt.plotting.residual_spread(left, history)
lt.plotting.variance_along_path(right, history)
