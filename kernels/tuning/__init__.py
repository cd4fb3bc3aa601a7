"""What a device can do, which kernels a program needs there, and which configurations suit it."""
