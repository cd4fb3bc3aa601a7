"""What a run of chains is made of: settings, starts, beginnings, configurations that were kept."""

from .settings import ChainSettings

__all__ = ["ChainSettings"]
