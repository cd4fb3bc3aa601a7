"""Events that run on a device without the host: on fixed tensors, and recorded once."""
