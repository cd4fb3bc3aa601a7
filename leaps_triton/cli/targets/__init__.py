"""What the command line names or tells beside models of a lattice: densities, graphs, data."""
