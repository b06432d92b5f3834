"""What the candidate really ran on, and whether that is the device that the suite is about."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from harness.digests import processor
from harness.latency.suite import TargetPart

_MEMORY_TOLERANCE: Final = 0.1
_INSTALL: Final = 'pip install "harness[gpu]"'


@dataclass(frozen=True, slots=True)
class Device:
    """What reports were written on."""

    name: str
    kind: Literal["gpu", "processor", "unknown"]
    memory_bytes: int = 0
    driver: str = ""
    power_limit_w: float | None = None
    partitioned: bool = False
    """Multi-Instance GPU is on: the candidate had a part of it."""
    gpus: int = 0
    """That the candidate used."""
    host: str = ""
    """The processor beside it."""
    told_by: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values, for the log."""
        return asdict(self)


class Probe(Protocol):
    """Looks at the machine around a candidate's process; tests have their own."""

    def before(self) -> None:
        """Called before the candidate's process starts."""

    def device(self, pid: int, account: Mapping[str, Any]) -> Device:
        """Called when it has answered: what it ran on.

        Args:
            pid: of its process.
            account: what it told of its last study.
        """

    def used_bytes(self) -> int:
        """Memory in use on the GPU found, by anyone; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class _Gpu:
    name: str
    memory_bytes: int
    driver: str
    power_limit_w: float | None
    partitioned: bool
    processes: frozenset[int]


class SystemProbe:
    """NVML, where nvidia-ml-py is there, and what torch told in the candidate's process."""

    def __init__(self) -> None:
        self._before: dict[int, frozenset[int]] = {}
        self._found: int | None = None

    def before(self) -> None:
        """Notes who uses which GPU."""
        self._before = {place: gpu.processes for place, gpu in enumerate(_gpus())}

    def device(self, pid: int, account: Mapping[str, Any]) -> Device:
        """The GPU on which the candidate's process, or exactly one new process, has appeared.

        NVML names processes as the host does, a container otherwise: so one that was not there before, and
        that is none of those seen from here, counts. torch's word, from within the process, counts where
        NVML cannot be read.
        """
        gpus, host = _gpus(), processor()
        used = [
            place
            for place, gpu in enumerate(gpus)
            if pid in gpu.processes or _one_unseen(gpu.processes - self._before.get(place, frozenset()))
        ]
        named = account.get("gpu")
        if not used and named:
            used = [place for place, gpu in enumerate(gpus) if gpu.name == named][:1]
        if used:
            gpu, self._found = gpus[used[0]], used[0]
            return Device(
                gpu.name, "gpu", gpu.memory_bytes, gpu.driver, gpu.power_limit_w, gpu.partitioned, len(used),
                host, "NVML",
            )  # fmt: skip
        if named:
            return Device(str(named), "gpu", gpus=1, host=host, told_by="torch")
        if not gpus and Path("/dev/nvidia0").exists():
            return Device("a GPU that NVML does not tell", "unknown", host=host, told_by="/dev/nvidia0")
        return Device(host, "processor", host=host, told_by="no GPU in use")

    def used_bytes(self) -> int:
        """Memory in use on the GPU that was found."""
        if self._found is None:
            return 0
        with _nvml() as nvml:
            if nvml is None:
                return 0
            return int(nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(self._found)).used)


def mismatches(target: TargetPart, device: Device) -> list[str]:
    """In what the device is not the target, in words; none where it is."""
    if device.name != target.device:
        return [f"the device is {device.name}"]
    found = []
    if target.memory_gb is not None:
        there = device.memory_bytes / 1e9
        if not device.memory_bytes:
            found.append(f"its memory is not told; {_INSTALL}")
        elif abs(there - target.memory_gb) > _MEMORY_TOLERANCE * target.memory_gb:
            found.append(f"it has {there:.1f} GB of memory, not {target.memory_gb:g}")
    if target.driver is not None:
        if not device.driver:
            found.append(f"its driver is not told; {_INSTALL}")
        elif _version(device.driver) < _version(target.driver):
            found.append(f"its driver is {device.driver}, older than {target.driver}")
    if target.power_limit_w is not None:
        if device.power_limit_w is None:
            found.append(f"its power limit is not told; {_INSTALL}")
        elif abs(device.power_limit_w - target.power_limit_w) > 1:
            found.append(f"its power limit is {device.power_limit_w:g} W, not {target.power_limit_w:g} W")
    if device.partitioned:
        found.append("only a part of it was used (Multi-Instance GPU)")
    if device.gpus > 1:
        found.append(f"{device.gpus} GPUs were used; the limits are of one")
    return found


def _one_unseen(processes: frozenset[int]) -> bool:
    return len(processes) == 1 and not any(Path(f"/proc/{pid}").exists() for pid in processes)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    """NVML, started; None where it is not installed or there is no driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError:
        yield None
        return
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _gpus() -> list[_Gpu]:
    with _nvml() as nvml:
        if nvml is None:
            return []
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        found = []
        for place in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(place)
            found.append(
                _Gpu(
                    _text(nvml.nvmlDeviceGetName(handle)),
                    int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
                    driver,
                    _power(nvml, handle),
                    _partitioned(nvml, handle),
                    frozenset(item.pid for item in nvml.nvmlDeviceGetComputeRunningProcesses(handle)),
                )
            )
        return found


def _power(nvml: Any, handle: Any) -> float | None:
    try:
        return float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000
    except nvml.NVMLError:
        return None


def _partitioned(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:  # a GPU that cannot be parted
        return False


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
