"""Options of a family of models that one network is trained on together."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import leaps_triton as lt

from .commands.scan import as_betas
from .options import ModelOptions

__all__ = ["FamilyOptions"]


@dataclass(frozen=True, kw_only=True)
class FamilyOptions(ModelOptions):
    """Models that are trained together."""

    instances: int | None = None
    """Train on so many instances of edwards-anderson together, of seeds from --disorder-seed on, so
    that the network serves others too."""
    fields: tuple[str, ...] = ()
    """Train in these uniform fields together: numbers, or first:last:count."""

    @property
    def several(self) -> bool:
        """Return whether several models are trained together."""
        return self.instances is not None or bool(self.fields)

    def family(self) -> list[lt.PairModel]:
        """Return all models of the training; the first is the sampler's own.

        Raises:
            ValueError: options that do not go together.
        """
        if not self.several:
            return [self.make()]
        changes: list[dict[str, Any]] = [{}]
        if self.instances is not None:
            if self.instances < 1:
                raise ValueError(f"instances must be at least 1, got {self.instances}")
            first = self.disorder_seed or 0
            changes = [{"disorder_seed": first + number} for number in range(self.instances)]
        if self.fields:
            if self.field:
                raise ValueError("--field and --fields both say what the field is; leave one out")
            fields = as_betas(self.fields, "--fields")
            changes = [{**each, "field": (field,)} for each in changes for field in fields]
        return [dataclasses.replace(self, **each).make() for each in changes]
