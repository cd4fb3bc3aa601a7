"""What the command line names beside models of a lattice: densities, and graphs."""
