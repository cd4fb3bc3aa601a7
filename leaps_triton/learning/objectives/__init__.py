"""What is minimised: pseudo-likelihood, energy discrepancy, likelihood."""
