"""One event of the jump process: the op ``jump_step``."""
