"""The loops that measure integer instructions hold as many as they say, and little else."""

import pytest

pytest.importorskip("triton")

from leaps_triton.kernels.compiled.machine_code import loop_instructions
from leaps_triton.kernels.tuning.ceilings import BLOCK, INSTRUCTIONS, STEPS, VARIANTS

NAMES = {"lop3": "LOP3.LUT", "imad_wide": "IMAD.WIDE.U32"}


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_loop_holds_the_instructions_that_are_counted(name: str) -> None:
    variant = VARIANTS[name]
    loop = loop_instructions(variant)[0].instructions
    chains = BLOCK // (32 * variant.warps)
    assert loop[NAMES[name]] == INSTRUCTIONS[name] * STEPS * chains
    others = loop.total() - loop[NAMES[name]]
    # Sums of the upper halves of products are done beside them, by other units.
    assert others <= loop[NAMES[name]] * (1.2 if name == "imad_wide" else 0.02)
