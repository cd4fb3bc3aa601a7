"""Clusters of joined sites of graphs: labels, and updates of all clusters or of one."""
