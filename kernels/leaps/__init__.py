"""Steps of tau-leaping: the ops ``tau_leap_step`` and ``tau_leap_log_probability``."""
