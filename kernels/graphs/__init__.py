"""Work without the host: recorded on the device, and weights that are packed once."""
