"""Steps of tau-leaping and their probabilities: the ops ``tau_leap_step`` and ``tau_leap_log_probability``."""
