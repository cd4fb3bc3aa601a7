"""Compilation of loops by numba, kept on disk from run to run.

Numba's own cache does not see changes in what a function calls. Here the sources of all CPU
kernels, and the versions of what compiles them, are one key. A folder that cannot be written or
read costs time and nothing else.
"""

import contextlib
import functools
import hashlib
import logging
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

__all__ = ["compiled", "folder", "inlined", "key"]

logger = logging.getLogger("leaps_triton")

FOLDER = "LEAPS_TRITON_CACHE"
"""Environment variable that names the folder of compiled kernels."""


@functools.cache
def key() -> str:
    """Return a hash of the sources of all CPU kernels and of the versions that compile them."""
    kernels = Path(__file__).parent.parent
    # Loops take constants from the twins.
    sources = sorted(kernels.glob("**/*.py"))
    digest = hashlib.sha256()
    versions = (platform.python_version(), numba.__version__, llvmlite.__version__)
    digest.update(repr(versions).encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def folder() -> Path:
    """Return where compiled kernels are kept: what the environment says, or the user's cache."""
    chosen = os.environ.get(FOLDER) or numba.config.CACHE_DIR
    if chosen:
        return Path(chosen) / key()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "leaps_triton" / key()


class _Place(_CacheLocator):
    """Says where a function is kept, and when what is kept there holds."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def get_cache_path(self) -> str:
        return str(folder())

    def get_source_stamp(self) -> str:
        return key()

    def get_disambiguator(self) -> str:
        # Files of many families have the name cpu.py.
        family = self._function.__module__.split(".")[-2]
        return f"{family}-{self._function.__code__.co_firstlineno}"

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Place":
        return cls(py_func)


class _Kept(CompileResultCacheImpl):
    _locator_classes = (_Place,)


class _Cache(FunctionCache):
    """Numba's cache, for which no file and no broken file is an error."""

    _impl_class = _Kept

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was compiled earlier; None if it cannot be had."""
        try:
            return super().load_overload(sig, target_context)
        # A file that ends in the middle may raise anything.
        except Exception as error:
            logger.debug("compiled kernels in %s cannot be read: %s", self.cache_path, error)
            self._forget()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, if the folder can be written."""
        try:
            Path(self.cache_path).mkdir(parents=True, exist_ok=True)
            super().save_overload(sig, data)
        except OSError as error:
            logger.debug("compiled kernels cannot be kept in %s: %s", self.cache_path, error)

    def _forget(self) -> None:
        """Begin a new index in place of a broken one."""
        with contextlib.suppress(OSError):
            self.flush()


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a loop when it is first called, and keep it on disk.

    It runs beside other threads, divides as IEEE numbers do, and fuses no product with a sum.
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    # Each function has a cache of its own; numba offers no public way to choose the kind.
    dispatcher._cache = _Cache(function)
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """Compile what loops call: a few lines that become part of each of them."""
    return numba.njit(error_model="numpy")(function)
