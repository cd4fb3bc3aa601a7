r"""Time one variant of a kernel on one shape, and count the instructions of its machine code.

    python experiments/gpu/time_variant.py --op heat_bath_sweeps \
        --variant "sweeps heat_bath 2 binary uniform 256" \
        --model ising --shape 16 16 --walkers 4096

Without ``--variant`` the names of an op's variants are listed. The machine code is made for
``--target`` ahead of time and read with the disassembler that Triton brings, so that this needs no
GPU; a time needs a CUDA device, whose launcher chooses the variant that fits the shape.
"""

import argparse
import sys
from collections import Counter

import torch

from leaps_triton import kernels
from leaps_triton.bench.agreement import check
from leaps_triton.bench.cases import MODELS, OPS, make_case
from leaps_triton.bench.timing import replayed, timed
from leaps_triton.kernels import variants
from leaps_triton.kernels.compiled import resources
from leaps_triton.kernels.compiled.machine_code import instructions

FAMILY_OF = {
    "energy": "local_energy",
    "local_energy": "local_energy",
    "proposal_rates": "rates forward",
    "proposal_rates_gradient": "rates gradient",
    "jump_step": "jump",
    "local_jump_steps": "local_jump",
    "tau_leap_step": "tau_leap step",
    "tau_leap_log_probability": "tau_leap log_probability",
    "tau_leap_log_probability_gradient": "tau_leap gradient",
    "heat_bath_sweeps": "sweeps heat_bath",
    "metropolis_sweeps": "sweeps metropolis",
    "overrelaxation_sweeps": "sweeps overrelaxation",
    "cluster_labels": "clusters",
    "hollow_conv": "hollow_conv forward",
    "hollow_conv_gradient": "hollow_conv",
    "lattice_action": "lattice_fields",
    "action_and_force": "lattice_fields",
    "site_potential": "lattice_fields potential",
    "normals": "normals",
}
"""First words of the names of each op's variants."""
MEMORY = ("LD", "ST", "ATOM", "RED", "MEMBAR", "BAR", "SHFL")
"""Beginnings of instructions that move or wait for data."""


def names_of(op: str) -> list[str]:
    """Return the names of an op's variants."""
    return [name for name in resources.variants() if name.startswith(FAMILY_OF[op])]


def by_opcode(counts: Counter[str]) -> Counter[str]:
    """Add up the instructions of one opcode, whatever their modifiers."""
    total: Counter[str] = Counter()
    for name, count in counts.items():
        total[name.partition(".")[0]] += count
    return total


def show(counts: Counter[str]) -> None:
    """Print the counts, most frequent first, then the memory's with their modifiers."""
    opcodes = by_opcode(counts)
    # What fills up the last cache line does nothing.
    opcodes.pop("NOP", None)
    print(f"{opcodes.total()} instructions")
    for name, count in opcodes.most_common():
        print(f"  {name:10} {count:6}")
    print("memory")
    for name, count in sorted(counts.items()):
        if name.startswith(MEMORY):
            print(f"  {name:24} {count:6}")


def time_of(chosen: argparse.Namespace, name: str) -> None:
    """Print seconds per call, or why there are none."""
    if not torch.cuda.is_available():
        print("no time: there is no CUDA device here")
        return
    device = torch.device("cuda")
    case = make_case(chosen.op, chosen.model, chosen.shape, chosen.walkers, chosen.seed, device)
    op = getattr(kernels, chosen.op)
    with variants.recorded() as launched:
        check(case, "kernel", op)
    wanted = resources.variants()[name]
    if wanted not in launched:
        others = [n for n, variant in resources.variants().items() if variant in launched]
        sys.exit(f"{case.label} is run by {', '.join(others)}; choose one, or another shape")
    seconds = timed(lambda: case.run(op), device)
    print(f"{case.label}: {seconds.p50:.3e} s per call ({seconds.p20:.3e} to {seconds.p80:.3e})")
    print(f"without launches: {replayed(lambda: case.run(op), device).p50:.3e} s")


def options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Times one variant and counts its instructions.")
    parser.add_argument("--op", choices=[op for op in OPS if op in FAMILY_OF], required=True)
    parser.add_argument("--variant", help="its name; without it the names are listed")
    parser.add_argument("--target", default=resources.TARGET, help="of the machine code: sm_…")
    parser.add_argument("--model", choices=list(MODELS), default="ising")
    parser.add_argument("--shape", type=int, nargs="+", default=[16, 16])
    parser.add_argument("--walkers", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: list[str] | None = None) -> None:
    """List an op's variants, or show one."""
    parser = options()
    chosen = parser.parse_args(arguments)
    names = names_of(chosen.op)
    if chosen.variant is None:
        print("\n".join(names))
        return
    if chosen.variant not in names:
        parser.error(
            f"{chosen.op} has no variant {chosen.variant!r}; without --variant they are listed"
        )
    variant = resources.variants()[chosen.variant]
    used = resources.measure(variant, chosen.target)
    print(f"{chosen.variant} for {chosen.target}, {variant.warps} warps")
    print(f"{used.registers} registers, {used.spills} bytes spilled, {used.shared} bytes shared")
    show(instructions(variant, chosen.target))
    time_of(chosen, chosen.variant)


if __name__ == "__main__":
    main()
