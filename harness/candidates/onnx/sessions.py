"""onnxruntime sessions: on which provider, on one thread, with errors that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from harness.errors import CandidateError

TENSORRT: Final = "TensorrtExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
CPU: Final = "CPUExecutionProvider"
PROVIDERS: Final = {"tensorrt": TENSORRT, "cuda": CUDA, "cpu": CPU}
"""Option -> onnxruntime's name, best first."""


class Session:
    """One graph, loaded.

    Args:
        session: an `onnxruntime.InferenceSession`.
        path: for messages.
    """

    def __init__(self, session: Any, path: Path) -> None:
        self._session = session
        self.path = path
        self.provider: str = session.get_providers()[0]
        self.inputs: dict[str, tuple[int | str, ...]] = {
            item.name: tuple(item.shape) for item in session.get_inputs()
        }
        self.outputs: dict[str, tuple[int | str, ...]] = {
            item.name: tuple(item.shape) for item in session.get_outputs()
        }

    def run(self, values: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """All outputs, in the graph's order; inputs that the graph dropped as unused are passed over."""
        found: list[NDArray[Any]] = self._session.run(
            None, {name: value for name, value in values.items() if name in self.inputs}
        )
        return found


def open_session(path: Path, provider: str) -> Session:
    """Loads a graph on a provider, one thread, so that sums come out in one order.

    Where a GPU's provider has no kernel for an operator, that operator runs on the processor.

    Raises:
        CandidateError: onnxruntime is not installed, the file is damaged, or the provider does not
            start.
    """
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    wanted = list(dict.fromkeys([provider, *([CUDA] if provider == TENSORRT else []), CPU]))
    try:
        session = ort.InferenceSession(
            str(path), options, providers=[name for name in wanted if name in ort.get_available_providers()]
        )
    except Exception as error:  # onnxruntime has an exception class for each of its codes
        first = str(error).strip().partition("\n")[0].replace(str(path), path.name)
        raise CandidateError(
            f"{path}: onnxruntime cannot load it ({first}); copy or export the package again"
        ) from None
    if session.get_providers()[0] != provider:
        raise CandidateError(f"provider {provider} does not start on this machine; {_there(ort)}")
    return Session(session, path)


def choose_provider(option: str, probe: Path) -> str:
    """The provider to run on: the one asked for, or the best that starts.

    Args:
        option: tensorrt, cuda, cpu or auto.
        probe: a graph to try GPUs with, where onnxruntime has a provider for them.

    Raises:
        CandidateError: it is not there; with those that are.
    """
    ort = _onnxruntime()
    there = ort.get_available_providers()
    if option != "auto":
        if option not in PROVIDERS:
            raise CandidateError(f"no provider {option!r}; there is auto, {', '.join(PROVIDERS)}")
        if PROVIDERS[option] not in there:
            raise CandidateError(f"provider {option} is not in this onnxruntime; {_there(ort)}")
        return PROVIDERS[option]
    for name in PROVIDERS.values():
        if name == CPU or name not in there:
            continue
        try:
            return open_session(probe, name).provider
        except CandidateError:  # the library is there, the device is not
            continue
    return CPU


def _there(ort: Any) -> str:
    there = ort.get_available_providers()
    names = [option for option, name in PROVIDERS.items() if name in there]
    return f"there is {', '.join(names) or 'none'} (onnxruntime {ort.__version__})"


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise CandidateError(
            'a package is run by onnxruntime, which is not installed; pip install "harness[deployment]"'
        ) from None
    return onnxruntime
