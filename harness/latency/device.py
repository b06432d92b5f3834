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


ELSEWHERE: Final = Device(
    "unknown (the service runs elsewhere; nobody measured on which device)", "unknown",
    told_by="the candidate answers elsewhere",
)  # fmt: skip


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


class Elsewhere:
    """Of a candidate that answers somewhere else: nothing here tells what it runs on."""

    def before(self) -> None:
        """Nothing to note."""

    def device(self, pid: int, account: Mapping[str, Any]) -> Device:
        """Not known."""
        return ELSEWHERE

    def used_bytes(self) -> int:
        """Not known."""
        return 0


class SystemProbe:
    """NVML, where nvidia-ml-py is there, and what torch told in the candidate's process."""

    def __init__(self) -> None:
        self._before: dict[int, frozenset[int]] = {}
        self._found: int | None = None

    def before(self) -> None:
        """Notes who uses which GPU."""
        self._before = {place: gpu.processes for place, gpu in enumerate(_gpus())}

    def device(self, pid: int, account: Mapping[str, Any]) -> Device:
        """The GPU on which the candidate's process has appeared, and never one that only may be its own.

        NVML names processes as the host does. Where it names the candidate's, and did not before that was
        started, that is enough, unless torch names another GPU from within the process. In a container the
        numbers differ: there, exactly one new process that is none of those seen from here counts, if torch
        in the candidate's process names that same kind of GPU as well. torch's word alone, or such a process
        alone, which may be a neighbour's, leaves the device undecided.
        """
        gpus, host, named = _gpus(), processor(), account.get("gpu")
        new = [gpu.processes - self._before.get(place, frozenset()) for place, gpu in enumerate(gpus)]
        own = [place for place, found in enumerate(new) if pid in found]
        unseen = [place for place, found in enumerate(new) if any(map(_unseen, found))]
        told_by = "NVML"
        if not own and named:
            own = [place for place in unseen if len(new[place]) == 1]
            told_by = "NVML and torch"
            if own != unseen:
                return _unknown("which process on a GPU is the candidate's is not certain", host)
        if own:
            gpu, self._found = gpus[own[0]], own[0]
            if named and any(gpus[place].name != named for place in own):
                return _unknown(f"NVML tells {gpu.name}, and torch {named}", host)
            return Device(
                gpu.name, "gpu", gpu.memory_bytes, gpu.driver, gpu.power_limit_w, gpu.partitioned, len(own),
                host, told_by,
            )  # fmt: skip
        if named:
            return Device(str(named), "gpu", gpus=1, host=host, told_by="torch")
        if unseen:
            name = gpus[unseen[0]].name
            return _unknown(f"a new process on {name} may be the candidate's, which does not say so", host)
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
    if device.kind == "unknown" or device.name != target.device:
        return [f"the device is {device.name}"]
    found = []
    if device.kind == "gpu" and "NVML" not in device.told_by:
        found.append("only the candidate says so: no process of it was seen on that GPU")
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


def _unseen(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def _unknown(why: str, host: str) -> Device:
    return Device(f"unknown ({why})", "unknown", host=host, told_by="NVML")


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
