"""Trained samplers: those that come with the library, and those that others published.

Example:
    >>> import leaps_triton as lt
    >>> lt.zoo.load("ising-8", device="cpu").sample(64, seed=0).ess > 0.9
    True
"""

from .index import about, load, names
from .published import load_published_leaps, published_network

__all__ = [
    "about",
    "load",
    "load_published_leaps",
    "names",
    "published_network",
]
