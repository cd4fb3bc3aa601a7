"""Many events of a process whose rates are a table of classes: the op ``local_jump_steps``."""
