"""The network of a hollow convolution with global context: the op ``hollow_values``."""
