"""Convolutions by a kernel of each site's own, without its centre: the op ``hollow_conv``."""
