"""Which sums over the neighbours of a graph are matrix products; all others are gathered.

What is decided here follows from the graph alone. The ops ask these functions, and so does whoever
tells a person what they do.
"""

from typing import NamedTuple

__all__ = ["Products", "energies_by_product", "ratios_by_product", "sweeps_by_product"]

WIDE = 32
"""Sites with more neighbours than this are summed by matrix products."""
MOST_SITES = 2**14
"""Larger graphs are gathered whatever their degree: their matrix would not fit."""
LEAST_SITES = 8
"""A colour of fewer sites, in the mean, is not worth a matrix product."""


def ratios_by_product(degree: int, sites: int) -> bool:
    """Return whether log-ratios of a graph of this degree come from a matrix product."""
    return degree > WIDE and sites <= MOST_SITES


def energies_by_product(bonds: int, sites: int) -> bool:
    """Return whether energies of a graph of so many edges come from a matrix product."""
    # The mean degree: each edge is summed once, whatever the largest number at a site.
    return ratios_by_product(2 * bonds // sites, sites)


def sweeps_by_product(degree: int, sites: int, num_colours: int) -> bool:
    """Return whether sweeps of a graph make a matrix product per colour.

    A complete graph has as many colours as sites, so that products would have one row.
    """
    return ratios_by_product(degree, sites) and sites >= LEAST_SITES * num_colours


class Products(NamedTuple):
    """Says which sums of a graph are matrix products."""

    energies: bool
    log_ratios: bool
    sweeps: bool

    @classmethod
    def of(cls, degree: int, bonds: int, sites: int, num_colours: int) -> "Products":
        """Return what the ops do on a graph.

        Args:
            degree: the largest number of edges at a site.
            bonds: number of edges.
            sites: number of sites.
            num_colours: number of colours.
        """
        return cls(
            energies_by_product(bonds, sites),
            ratios_by_product(degree, sites),
            sweeps_by_product(degree, sites, num_colours),
        )

    @property
    def words(self) -> str:
        """What is done, for a person.

        Example:
            >>> Products(energies=True, log_ratios=True, sweeps=False).words
            'energies and log-ratios by matrix product, sweeps gathered'
        """
        if all(self):
            return "by matrix product"
        if not any(self):
            return "gathered"
        called = {"energies": self.energies, "log-ratios": self.log_ratios, "sweeps": self.sweeps}
        products = [name for name, product in called.items() if product]
        gathered = [name for name, product in called.items() if not product]
        return f"{' and '.join(products)} by matrix product, {' and '.join(gathered)} gathered"
