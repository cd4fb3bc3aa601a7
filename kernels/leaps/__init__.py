"""Steps of tau-leaping and their probabilities.

The ops ``tau_leap_step`` and ``tau_leap_log_probability``.
"""
