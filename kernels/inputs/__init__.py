"""What the families' cases are made of: sizes, models and random inputs."""
