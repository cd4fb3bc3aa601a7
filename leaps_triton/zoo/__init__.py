"""Trained samplers, published ones among them."""

from .published import load_published_leaps, published_network

__all__ = [
    "load_published_leaps",
    "published_network",
]
