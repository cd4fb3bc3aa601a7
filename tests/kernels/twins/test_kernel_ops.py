"""The ops as torch knows them: schemas, fake tensors, gradients, compilation, what runs where."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from leaps_triton import kernels
from leaps_triton.kernels import reference, registration
from leaps_triton.kernels.convolutions.cases import convolution
from leaps_triton.kernels.convolutions.op import hollow_conv_op
from leaps_triton.kernels.energies.cases import model, without_beta
from leaps_triton.kernels.inputs.families import small, watched
from leaps_triton.kernels.inputs.random import normal
from leaps_triton.kernels.jumps.cases import jump
from leaps_triton.kernels.leaps.cases import ends
from leaps_triton.kernels.leaps.op import tau_leap_log_probability_op
from leaps_triton.kernels.proposals.cases import outputs
from leaps_triton.kernels.proposals.op import proposal_rates_op
from leaps_triton.kernels.site_sweeps.cases import sweep

ROOT = Path(__file__).parents[3]
CALLS = small()
MODEL = model((3, 5), (True, False), 3, 4)
ENERGY = without_beta(MODEL)


@pytest.mark.parametrize("name", list(CALLS))
def test_torch_accepts_the_op(name: str) -> None:
    op, arguments = CALLS[name]
    torch.library.opcheck(op, (), arguments)


def test_every_op_has_a_kernel_on_cuda_devices() -> None:
    """All twins but the random words themselves, which any device draws in torch."""
    shared = set(kernels.__all__) & set(reference.__all__) - {"philox", "uniform32", "uniform64"}
    names = {name for name in shared if inspect.isfunction(getattr(reference, name))} | {
        "hollow_values"
    }
    assert "overrelaxation_sweeps" in names
    for name in names:
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"leaps_triton::{name}", "CUDA"), name


def test_what_the_sanitizer_watches_reaches_every_op_and_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Launchers on the CPU that note what they would launch."""
    pytest.importorskip("triton")
    from leaps_triton.kernels.compiled import resources

    launched: list[Any] = []
    for name, module in list(sys.modules.items()):
        if name.startswith("leaps_triton.kernels.") and hasattr(module, "launch"):
            monkeypatch.setattr(module, "launch", lambda variant, *_: launched.append(variant))
    seen = set()
    for op, arguments in watched():
        # Results without a kernel are whatever memory held.
        op._backend_fns["cuda"](**arguments)
        seen.add(op._qualname)
    names = torch._C._dispatch_get_all_op_names()
    assert seen == {name for name in names if name.startswith("leaps_triton::")}
    flat = {
        name: variant
        for name, variant in resources.variants().items()
        if variant.constants.get("NDIM", 2) == 2
    }
    # Hidden widths of a network differ in nothing but sizes.
    left_out = {
        name
        for name, variant in flat.items()
        if variant not in launched and "hollow_values" not in name
    }
    assert left_out == set()
    functions = {variant.kernel.fn.__name__ for variant in resources.variants().values()}
    assert {variant.kernel.fn.__name__ for variant in launched} == functions


@pytest.mark.parametrize(
    "op", [kernels.heat_bath_sweeps, kernels.metropolis_sweeps, kernels.overrelaxation_sweeps]
)
def test_sweeps_run_through_their_op(op: Any) -> None:
    """Where a kernel would be chosen."""
    calls: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, arguments: Any = (), options: Any = None
        ) -> Any:
            calls.append(str(function))
            return function(*arguments, **(options or {}))

    with Watch():
        op(**sweep(MODEL, 1, seed=5))
    assert f"leaps_triton.{op.__name__}.default" in calls


@pytest.mark.parametrize("reversible", [None, "metropolis"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_accepts_the_op_with_a_gradient(dtype: torch.dtype, reversible: str | None) -> None:
    network, log_ratios = outputs(dtype)
    torch.library.opcheck(
        proposal_rates_op, (network.requires_grad_(), log_ratios, reversible, 0.5)
    )


@pytest.mark.parametrize("broadcast", [True, False])
def test_torch_accepts_the_convolution_with_a_gradient(broadcast: bool) -> None:
    given = convolution((3, 2), 3, broadcast=broadcast)
    arguments = [v.requires_grad_() if isinstance(v, Tensor) else v for v in given.values()]
    torch.library.opcheck(hollow_conv_op, tuple(arguments))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_accepts_the_gradient_of_a_leap(dtype: torch.dtype) -> None:
    given = ends((3, 5), 3, 4)
    given["rates"] = (given["rates"] + 0.1).to(dtype).requires_grad_()
    torch.library.opcheck(tau_leap_log_probability_op, (), given)


@pytest.mark.parametrize("reversible", [None, "barker"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_that_of_the_twin(dtype: torch.dtype, reversible: str | None) -> None:
    network, log_ratios = outputs(dtype)
    weights = [normal(4, 2, 3, 5, seed=6).to(dtype), normal(4, seed=7), normal(4, seed=8)]
    for chosen in ([0], [1], [2], [0, 2], [0, 1, 2]):
        gradients = []
        for call in (kernels.proposal_rates, reference.proposal_rates):
            leaf = network.clone().requires_grad_()
            made = call(leaf, log_ratios, reversible, 0.5)
            sum((made[i] * weights[i]).sum() for i in chosen).backward()  # type: ignore[union-attr]
            gradients.append(leaf.grad)
        torch.testing.assert_close(
            *gradients, rtol=4 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps
        )


def test_gradient_is_the_formula_and_the_difference_quotient() -> None:
    network, log_ratios = outputs()
    network = torch.where(network == 0, 0.5, network).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda g: kernels.proposal_rates(g, log_ratios, "barker", 0.5), (network,)
    )
    kernels.proposal_rates(network, log_ratios).corrector.sum().backward()
    expected = torch.where(network > 0, 1.0, torch.exp(log_ratios))
    torch.testing.assert_close(network.grad, expected.detach())


def test_a_gradient_that_does_not_exist_is_refused() -> None:
    network, log_ratios = outputs()
    with pytest.raises(ValueError, match="log_ratios has no gradient"):
        kernels.proposal_rates(network, log_ratios.requires_grad_())


@pytest.mark.parametrize(
    "types",
    [
        (torch.float32, torch.float64),
        (torch.float64, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_dtypes_are_brought_together(types: tuple[torch.dtype, torch.dtype]) -> None:
    network, log_ratios = (t.to(d) for t, d in zip(outputs(), types, strict=True))
    dtype = torch.promote_types(*types)
    made = kernels.proposal_rates(network, log_ratios)
    expected = reference.proposal_rates(network.to(dtype), log_ratios.to(dtype))
    assert all(torch.equal(one, other) for one, other in zip(made, expected, strict=True))
    assert made.rates.dtype == dtype


def test_ops_are_seen_by_torch_compile() -> None:
    """One graph, without a break, with the op in it."""
    graphs: list[list[str]] = []

    def backend(module: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(
            [str(node.target) for node in module.graph.nodes if node.op == "call_function"]
        )
        return module.forward

    def step(configurations: Tensor) -> Tensor:
        made = kernels.local_energy(**MODEL | {"configurations": configurations})
        rates = kernels.proposal_rates(None, made.log_ratios, "barker")
        return rates.exit_rate * 2.0

    compiled = torch.compile(step, fullgraph=True, backend=backend)
    torch.testing.assert_close(compiled(MODEL["configurations"]), step(MODEL["configurations"]))
    assert len(graphs) == 1
    assert {name.split(".")[1] for name in graphs[0] if name.startswith("leaps_triton.")} >= {
        "local_energy",
        "proposal_rates",
    }


def test_backend_says_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.backend(torch.device("cpu")) == "numba kernels on cpu"
    assert kernels.backend(torch.device("meta")) == "plain torch on meta"
    monkeypatch.setattr(registration, "MISSING", None)
    assert kernels.backend(torch.device("cuda")) == "Triton kernels on cuda"
    monkeypatch.setattr(registration, "MISSING", "no module")
    assert (
        kernels.backend(torch.device("cuda"))
        == "plain torch on cuda, since Triton cannot be imported: no module"
    )


def test_without_triton_the_twins_serve() -> None:
    program = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch, leaps_triton as lt\n"
        "assert 'cannot be imported' in lt.kernels.backend(torch.device('cuda'))\n"
        "up = torch.ones(1, 4, 4, dtype=torch.int8)\n"
        "assert lt.Ising((4, 4), beta=0.4).energy(up).item() == -32.0"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("op", "given", "changes", "message"),
    [
        (
            kernels.energy,
            ENERGY,
            {"configurations": torch.zeros(4, 3, 5, dtype=torch.int64)},
            "must be int8",
        ),
        (
            kernels.local_energy,
            MODEL,
            {"dtype": torch.bfloat16},
            "must be float32 or float64, got torch.bfloat16",
        ),
        (
            kernels.jump_step,
            jump((3, 5), 3, 4),
            {"events": torch.zeros(4)},
            "events .* be torch.int64",
        ),
        (
            kernels.jump_step,
            jump((3, 5), 3, 4),
            {"corrector": torch.zeros(4)},
            "corrector .* be torch.float64",
        ),
        (
            kernels.jump_step,
            jump((3, 5), 3, 4),
            {"rates": torch.zeros(4, 2, 3, 5, dtype=torch.float16)},
            "rates must be float32 or float64",
        ),
        (
            kernels.heat_bath_sweeps,
            sweep(MODEL, 1, seed=5),
            {"num_colours": 128},
            "num_colours must be .* from 1 to 127",
        ),
        (
            kernels.heat_bath_sweeps,
            sweep(MODEL, 1, seed=5),
            {"walkers": torch.zeros(4)},
            "walkers .* torch.int64",
        ),
    ],
)
def test_inputs_that_are_refused(
    op: Any, given: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        op(**given | changes)


def test_gradients_go_through_ops_that_need_none_otherwise() -> None:
    output = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    log_ratios = torch.zeros(1, 1, 4, 4)
    kernels.proposal_rates(output, log_ratios).exit_rate.sum().backward()
    assert output.grad is not None
    assert float(output.grad.sum()) == 16.0
    with torch.no_grad():
        assert kernels.proposal_rates(output, log_ratios).exit_rate.item() == 8.0
