"""
Training a network
==================

A network learns rates that carry independent spins to a critical Ising model. It is trained for a
few seconds here, and weighed before and after: the weights are exact both times, and more even
after.
"""

import matplotlib.pyplot as plt

import leaps_triton as lt

SIZE = 6
STEPS = 300
WALKERS = 2000

model = lt.Ising((SIZE, SIZE), beta=0.4407)
path = lt.AnnealingPath(model)
network = lt.HollowConv(model, kernel_size=5, channels=16, width=32)
sampler = lt.Sampler(path, network, lt.Jump(intervals=20), lt.HeatBath(sweeps=1))

# %%
# Before training the network knows nothing, and the heat bath alone keeps walkers near the path.

before = sampler.sample(WALKERS, seed=1)

# %%
# Training changes the network of the sampler in place. Every 50 steps its weights are measured on
# fresh walkers.

config = lt.TrainingConfig(
    steps=STEPS, learning_rate=2e-2, evaluate_every=50, evaluation_walkers=512
)
history = lt.Trainer(sampler, config).run()
after = sampler.sample(WALKERS, seed=1)

exact = lt.exact.log_z(model)
pulls = []
for name, ensemble in [("before training", before), ("after", after)]:
    log_z = lt.Estimate(ensemble.log_z, ensemble.log_z_error)
    pulls.append(log_z.pull(exact))
    print(f"{name}: ESS {ensemble.ess:.3f}, log Z = {log_z}, {pulls[-1]:+.1f} σ from exact")

# %%
# The loss is the variance of the residual over walkers, averaged over times along the path. An
# effective sample size that still rises at the end asks for more steps.

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
lt.plotting.training_curve(axes, history)
