"""Action and force of real fields on periodic lattices."""
