"""
A triangular antiferromagnet, and couplings from its samples
============================================================

Three spins of a triangle cannot all be opposite, so that one bond in three is unsatisfied and order
is short. The couplings of a smaller model are then learned back from its configurations.
"""

import matplotlib.pyplot as plt
import torch

import leaps_triton as lt

LENGTH = 12
SWEEPS = 300
STEPS = 120

# %%
# A graph stands where a shape does. The closed form of its torus gives the exact energy.

graph = lt.Graph.triangular((LENGTH, LENGTH))
model = lt.Ising(graph, beta=1.0, coupling=-1.0)
span = torch.arange(-LENGTH, LENGTH)
waves = lt.observables.wave_vectors(graph, torch.cartesian_prod(span, span))
measured = ["energy", lt.observables.structure_factor_at(waves)]
chain = lt.run_chain(model, sweeps=SWEEPS, thin=2, seed=0, observables=measured)
energy = chain.estimate("energy")
pulls = [energy.pull(lt.exact.energy(model))]
print(f"energy per site {energy}, {pulls[0]:+.1f} σ from exact")

# %%
# One coupling per bond is learned. Witnesses take no part in it, so that their weights tell log Z.

coupling = [-0.3, -0.2, 0.2]
truth = lt.Ising(lt.Graph.triangular((4, 4)), beta=1.0, coupling=coupling)
data = lt.exact.sample(truth, 2000, seed=1)
objective = lt.MaximumLikelihood(lt.Jarzynski(walkers=1000, witnesses=1000))
learned = lt.Learner(truth, data, objective, steps=STEPS, learning_rate=0.1).run()
log_z = lt.Estimate(learned.witnesses.log_z, learned.witnesses.log_z_error)
pulls.append(log_z.pull(lt.exact.log_z(learned.model)))
print(f"log Z of the learned model {log_z}, {pulls[1]:+.1f} σ from exact")

# %%
# Unsatisfied bonds are red. S(k) is largest where three sublattices would order.

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
spins = chain.configurations[0]
ends = graph.positions[graph.edges]
near = (ends[:, 0] - ends[:, 1]).norm(dim=1) < 1.5  # Not around the torus.
for (first, second), line in zip(graph.edges[near].tolist(), ends[near], strict=True):
    left.plot(*line.T, color="tab:red" if spins[first] == spins[second] else "lightgrey", zorder=0)
left.scatter(*graph.positions.T, c=spins, edgecolors="black", linewidths=0.5)
left.set(aspect="equal", xlabel="x", ylabel="y")
power = chain.values["structure_factor_at"].mean((0, 1))
shown = middle.scatter(*waves.T, c=power, s=300, marker="H")
figure.colorbar(shown, label="structure factor  S(k)")
middle.set(aspect="equal", xlabel="$k_x$", ylabel="$k_y$", xlim=(-4.5, 4.5), ylim=(-4.5, 4.5))
right.plot(learned.model.lattice.classes, learned.model.coupling.flatten(), "o", alpha=0.4)
right.plot(range(3), coupling, "_", markersize=30, color="black")
right.set(xlabel="direction", ylabel="J, learned (dots) and true (lines)", xticks=range(3))
