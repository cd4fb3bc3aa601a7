"""Maps that move half of the sites of a lattice at once: the op ``parity_map``."""
