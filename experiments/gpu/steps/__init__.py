"""What the steps of gpu.py do; gpu_steps.py starts one of them by name."""
