"""What experiments say of their results: printed tables, verdicts and figures."""
