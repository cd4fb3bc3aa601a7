"""Connected components of sites joined by bonds: the op ``cluster_labels``."""
