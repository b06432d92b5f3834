from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.digests import processor
from harness.latency import device as device_module
from harness.latency.device import Device, SystemProbe, mismatches
from harness.latency.suite import TargetPart
from latency_bench import A10G, H100

TARGET = TargetPart(device="NVIDIA A10G", memory_gb=24, driver="535", power_limit_w=300)


def test_the_target_itself_matches():
    assert mismatches(TARGET, A10G) == []
    assert mismatches(TARGET, replace(A10G, driver="550.1", power_limit_w=299.5)) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (H100, "the device is NVIDIA H100"),
        (replace(A10G, name="NVIDIA A10"), "the device is NVIDIA A10"),
        (replace(A10G, name="nvidia a10g"), "the device is nvidia a10g"),
        (replace(A10G, memory_bytes=12 * 10**9), "12.0 GB of memory, not 24"),
        (replace(A10G, memory_bytes=0), "memory is not told"),
        (replace(A10G, driver="470.57.02"), "older than 535"),
        (replace(A10G, driver=""), "driver is not told"),
        (replace(A10G, power_limit_w=150.0), "150 W, not 300 W"),
        (replace(A10G, power_limit_w=None), "power limit is not told"),
        (replace(A10G, partitioned=True), "a part of it"),
        (replace(A10G, gpus=2), "2 GPUs"),
        (Device("some CPU, 2 cores", "processor"), "the device is some CPU"),
    ],
)
def test_anything_else_does_not(found, told):
    assert told in "; ".join(mismatches(TARGET, found))


def test_what_is_not_asked_is_not_looked_at():
    assert mismatches(TargetPart(device="a CPU"), Device("a CPU", "processor")) == []


class Nvml:
    """NVML as far as it is asked."""

    class NVMLError(Exception):
        pass

    def __init__(self, gpus):
        self.gpus = gpus

    def nvmlInit(self):  # noqa: N802
        if self.gpus is None:
            raise self.NVMLError

    def __getattr__(self, name):
        answers = {
            "nvmlShutdown": lambda: None,
            "nvmlSystemGetDriverVersion": lambda: b"535.183.01",
            "nvmlDeviceGetCount": lambda: len(self.gpus),
            "nvmlDeviceGetHandleByIndex": lambda place: self.gpus[place],
            "nvmlDeviceGetName": lambda gpu: gpu["name"],
            "nvmlDeviceGetMemoryInfo": lambda gpu: SimpleNamespace(total=24_146_608_128, used=gpu["used"]),
            "nvmlDeviceGetEnforcedPowerLimit": lambda gpu: 300_000,
            "nvmlDeviceGetComputeRunningProcesses": lambda gpu: [SimpleNamespace(pid=p) for p in gpu["pids"]],
        }
        if name == "nvmlDeviceGetMigMode":

            def refuse(gpu):
                raise self.NVMLError

            return refuse
        return answers[name]


@pytest.fixture
def nvml(monkeypatch):
    """Puts GPUs in place of the machine's; None: no driver."""

    def put(gpus):
        monkeypatch.setitem(__import__("sys").modules, "pynvml", Nvml(gpus))

    return put


def test_the_gpu_that_the_candidates_process_is_on(nvml):
    gpus = [{"name": "NVIDIA T4", "pids": [1], "used": 3}, {"name": "NVIDIA A10G", "pids": [], "used": 7}]
    nvml(gpus)
    probe = SystemProbe()
    probe.before()
    gpus[1]["pids"] = [999_999_999]
    found = probe.device(999_999_999, {})
    assert (found.name, found.gpus) == ("NVIDIA A10G", 1)
    assert (found.power_limit_w, found.driver) == (300.0, "535.183.01")
    assert mismatches(TARGET, found) == []
    assert probe.used_bytes() == 7


def test_in_a_container_a_new_process_on_one_gpu_counts_and_a_neighbour_does_not(nvml):
    gpus = [{"name": "NVIDIA A10G", "pids": [5_000_000_001], "used": 0}]
    nvml(gpus)
    probe = SystemProbe()
    probe.before()
    assert probe.device(7, {}).kind == "processor"  # the neighbour was there before
    gpus[0]["pids"] = [5_000_000_001, 5_000_000_002]
    found = probe.device(7, {"gpu": "NVIDIA A10G"})
    assert (found.name, found.told_by, mismatches(TARGET, found)) == ("NVIDIA A10G", "NVML and torch", [])
    neighbours = probe.device(7, {})  # torch in the candidate's process knows of no GPU
    assert neighbours.kind == "unknown"
    assert mismatches(TARGET, neighbours)
    assert mismatches(TargetPart(device=processor()), neighbours)
    gpus[0]["pids"] = [5_000_000_001, 1]  # process 1 is seen from here, and is not the candidate
    assert probe.device(7, {}).kind == "processor"


def test_a_gpu_in_the_machine_that_is_not_used_is_not_the_device(nvml):
    nvml([{"name": "NVIDIA A10G", "pids": [], "used": 0}])
    probe = SystemProbe()
    probe.before()
    found = probe.device(7, {"host_peak_bytes": 1})
    assert (found.name, found.kind) == (processor(), "processor")
    assert probe.used_bytes() == 0


def test_without_nvml_torch_names_the_gpu_and_the_rest_is_not_told(nvml):
    nvml(None)
    found = SystemProbe().device(7, {"gpu": "NVIDIA A10G"})
    assert found.told_by == "torch"
    assert len(mismatches(TARGET, found)) == 4


def test_the_candidates_word_alone_is_not_the_target(nvml):
    nvml([{"name": "NVIDIA A10G", "pids": [], "used": 0}])
    probe = SystemProbe()
    probe.before()
    found = probe.device(7, {"gpu": "NVIDIA A10G"})
    (told,) = mismatches(TargetPart(device="NVIDIA A10G"), found)
    assert "no process of it was seen" in told


def test_nvml_and_torch_that_contradict_each_other_tell_no_device(nvml):
    gpus = [{"name": "NVIDIA A10G", "pids": [], "used": 0}]
    nvml(gpus)
    probe = SystemProbe()
    probe.before()
    gpus[0]["pids"] = [7]
    assert probe.device(7, {}).name == "NVIDIA A10G"
    assert probe.device(7, {"gpu": "NVIDIA T4"}).kind == "unknown"


def test_a_gpu_that_nobody_can_name_is_unknown(nvml, monkeypatch):
    nvml(None)
    monkeypatch.setattr(device_module.Path, "exists", lambda path: str(path) == "/dev/nvidia0")
    assert SystemProbe().device(7, {}).kind == "unknown"


def test_without_the_extra_there_is_no_nvml(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert SystemProbe().used_bytes() == 0
    assert SystemProbe().device(7, {}).name == processor()
