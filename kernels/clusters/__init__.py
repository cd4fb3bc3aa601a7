"""Cluster updates of pair models: Swendsen and Wang's, and Wolff's."""
