"""Rates of all moves, their sum and the corrector: the op ``proposal_rates`` and its gradient."""
