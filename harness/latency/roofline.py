"""A guess at the target's speed from the model's size. It is never evidence and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from harness.candidates.base import ModelSize

ASSUMPTIONS: Final = (
    "A stretch of work takes as long as its arithmetic at the data sheet's dense rate, or as reading its "
    "weights once at the memory's rate, whichever is longer (roofline: Williams, Waterman & Patterson, "
    "Commun ACM 2009;52(4):65-76), divided by the efficiency.",
    "Two operations a parameter and token; attention and the key-value cache are left out; each token "
    "written reads the language model's weights once, for all beams together.",
    "What it costs to start each step of a GPU is left out: for a small model that is most of the time.",
    "Preprocessing and formatting are done by the processor and taken as they were measured here.",
)


@dataclass(frozen=True, slots=True)
class DataSheet:
    """A GPU's rates without sparsity, from NVIDIA's data sheet."""

    memory_gb: float
    bandwidth_gb_s: float
    fp32_tflops: float
    fp16_tflops: float
    int8_tops: float
    source: str

    def operations(self, bytes_per_parameter: float) -> float:
        """Operations a second in the precision of so many bytes a parameter."""
        tera = self.int8_tops if bytes_per_parameter <= 1 else self.fp16_tflops
        return 1e12 * (self.fp32_tflops if bytes_per_parameter > 2 else tera)


SHEETS: Final = {
    "NVIDIA A10G": DataSheet(24, 600, 35, 70, 140, "NVIDIA A10G Tensor Core GPU data sheet, 2022"),
    "NVIDIA A10": DataSheet(24, 600, 31.2, 125, 250, "NVIDIA A10 Tensor Core GPU data sheet, 2021"),
    "NVIDIA L4": DataSheet(24, 300, 30.3, 121, 242, "NVIDIA L4 Tensor Core GPU data sheet, 2023"),
    "NVIDIA H100 80GB HBM3": DataSheet(
        80, 3350, 67, 989, 1979, "NVIDIA H100 Tensor Core GPU data sheet, 2023"
    ),
    "NVIDIA H200": DataSheet(141, 4800, 67, 989, 1979, "NVIDIA H200 Tensor Core GPU data sheet, 2024"),
}
"""By the name that NVML gives."""


def floor_s(sheet: DataSheet, size: ModelSize, read: float, written: float) -> dict[str, float]:
    """Seconds that a study takes at least: the encoder, reading the prompt, and writing.

    Args:
        sheet: the GPU.
        size: the model.
        read: tokens that the language model reads, pictures and prompt.
        written: tokens that it writes.
    """
    rate, wide = sheet.operations(size.bytes_per_parameter), sheet.bandwidth_gb_s * 1e9

    def stretch(parameters: int, tokens: float) -> float:
        return max(2 * parameters * tokens / rate, parameters * size.bytes_per_parameter / wide)

    return {
        "inference": stretch(size.encoder_parameters, size.encoder_tokens),
        "decoding": stretch(size.language_parameters, read)
        + written * stretch(size.language_parameters, size.beams),
    }


def estimate(
    target: str,
    measured_on: str,
    size: ModelSize | None,
    tokens: dict[str, float],
    phases: dict[str, float],
    assumed: float,
) -> dict[str, Any]:
    """What a study might take on the target, as plain values; `reason` where there is no saying.

    Args:
        target: the device's name.
        measured_on: the name of the one that was measured; where its data sheet is known, its efficiency
            is what was reached there, and else it is assumed.
        size: the model's.
        tokens: mean `read` and `written` a study.
        phases: mean seconds of each phase as measured.
        assumed: efficiency, in (0, 1].
    """
    if target not in SHEETS:
        return {"reason": f"no data sheet of {target} is known here"}
    if size is None or not tokens:
        return {"reason": "the candidate does not tell its size and tokens"}
    sheet = SHEETS[target]
    floor = floor_s(sheet, size, tokens["read"], tokens["written"])
    efficiency, told = assumed, "assumed"
    measured = phases.get("inference", 0.0) + phases.get("decoding", 0.0)
    if measured_on in SHEETS and measured:
        here = floor_s(SHEETS[measured_on], size, tokens["read"], tokens["written"])
        efficiency, told = min(1.0, sum(here.values()) / measured), f"as reached on {measured_on}"
    host = phases.get("preprocessing", 0.0) + phases.get("formatting", 0.0)
    weights = size.encoder_parameters + size.language_parameters
    memory = weights * size.bytes_per_parameter / 1e9
    return {
        "reason": "",
        "target": target,
        "sheet": sheet.source,
        "floor_s": floor,
        "efficiency": efficiency,
        "efficiency_told": told,
        "host_s": host,
        "seconds": sum(floor.values()) / efficiency + host,
        "weights_gb": memory,
        "fits": memory < sheet.memory_gb,
    }
