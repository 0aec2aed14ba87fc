"""Inner loops as machine code."""

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from numba.core import config, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

from routing.kept_code import KeptCode
from routing.linking import linked_at_once

__all__ = ["compiled"]

P = ParamSpec("P")
R = TypeVar("R")

OPTIONS = {"nopython": True, "nogil": True, "no_cfunc_wrapper": True}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` compiled by numba at its first call, to run without the interpreter's lock.

    It is compiled together with the compiled functions it calls, once for each kind of arguments,
    and the machine code is kept (see `kept_code.py`), so only the first process on a machine pays
    for that. A compiled function works on arrays and numbers only and checks no index.
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    result: Callable[P, R] = Compiled(function, targetoptions=OPTIONS)
    return result


class Compiled(CPUDispatcher):
    """A function that Python calls as machine code of its own, and machine code as a part of it."""

    def __init__(self, function: Callable[..., Any], targetoptions: dict[str, bool]) -> None:
        """Compile nothing yet."""
        super().__init__(function, targetoptions=targetoptions)
        self._cache = KeptCode(function)
        # Python never calls the part, and what lets it do so takes longest to compile.
        self.part = CPUDispatcher(
            function, targetoptions={**targetoptions, "no_cpython_wrapper": True}
        )

    def compile(self, sig: Any) -> Any:
        """Make or load machine code for the arguments of a call from Python."""
        codegen: Any = self.targetctx.codegen()  # type: ignore[attr-defined]
        with global_compiler_lock, linked_at_once(codegen):
            return super().compile(sig)

    def get_call_template(self, args: Iterable[Any], kws: Any) -> Any:
        """What a call from compiled code returns; numba calls this to find out."""
        # Else a part is compiled anew for every constant that it is called with.
        return self.part.get_call_template([types.unliteral(each) for each in args], kws)

    def get_overload(self, sig: Any) -> Any:
        """The part for the arguments of a call from compiled code."""
        return self.part.get_overload(sig)
