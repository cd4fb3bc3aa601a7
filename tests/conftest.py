"""Settings of every test run: deterministic torch, fixed examples, no display, one thread each."""

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest
import torch

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # for commands that tests start

# Besides refusing operations whose result may vary, this fills uninitialised memory with NaN or the
# largest integer.
torch.use_deterministic_algorithms(True)

hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_interrupts() -> Iterator[None]:
    """Give Ctrl-C its meaning: a shell starts what runs in the background with it ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
