"""The door of a deployed model: which picture files may enter, and what grey values they become.

A file is refused, with the reason, rather than guessed at: a report on a thumbnail, on an overlay
of two colours or on an inverted chest would read like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from harness.dicom import load_pydicom
from harness.errors import CohortError
from harness.pixels import read_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST: Final = 32
"""Pixels along the shorter side; a smaller file is an icon or a placeholder, no radiograph."""
MOST: Final = 8192
"""Pixels along the longer side; no chest detector has more, and one study must not fill the memory."""
_GREY_DEPTHS: Final = {"L": 8, "LA": 8, "RGB": 8, "RGBA": 8, "I": 16, "I;16": 16, "I;16B": 16, "I;16L": 16}
_COLOURS: Final = ("RGB", "RGBA")
_NEARLY_BLACK: Final = 1 / 256

Photometric = Literal["MONOCHROME1", "MONOCHROME2", "RGB"]


@dataclass(frozen=True, slots=True)
class Picture:
    """What a file says of itself, before a pixel is read."""

    format: Literal["PNG", "JPEG", "DICOM"]
    width: int
    height: int
    bit_depth: Literal[8, 16]
    """Bits that hold a value; a DICOM of 10 to 15 bits stored counts as 16."""
    photometric: Photometric
    """MONOCHROME1: large values are dark, and the picture is inverted when it is read."""


def check_picture(path: Path) -> Picture:
    """What a picture file is, if it may enter.

    Raises:
        CohortError: missing, no PNG, JPEG or DICOM file, smaller than `LEAST` or larger than `MOST`,
            or of a bit depth or photometric interpretation that a radiograph does not have; DICOM whose
            values are not in the lowest bits, whose presentation LUT shape contradicts its photometric
            interpretation, or that is mirrored or turned.
    """
    if is_dicom(path):
        return check_header(path, read_header(path))
    try:
        with Pillow.open(path) as file:
            kind, mode, (width, height) = file.format, file.mode, file.size
    except FileNotFoundError:
        raise CohortError(f"{path}: no such picture; is the download complete?") from None
    except Pillow.DecompressionBombError:
        raise CohortError(f"{path}: more pixels than any detector has; send the radiograph alone") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise CohortError(f"{path}: neither PNG, JPEG nor DICOM; convert it, or fetch it again") from None
    if kind not in ("PNG", "JPEG"):
        raise CohortError(f"{path}: a {kind} file; send PNG, JPEG or DICOM")
    if mode not in _GREY_DEPTHS:
        raise CohortError(f"{path}: pixels of mode {mode}; send 8 or 16 bits of grey, or RGB")
    _check_size(path, width, height)
    depth: Literal[8, 16] = 16 if _GREY_DEPTHS[mode] == 16 else 8
    colour: Photometric = "RGB" if mode in _COLOURS else "MONOCHROME2"
    return Picture("PNG" if kind == "PNG" else "JPEG", width, height, depth, colour)


def read_picture(path: Path, size: int) -> NDArray[np.float32]:
    """A picture that may enter, as grey values in [0, 1], shape (size, size), as `read_pixels` reads it.

    Raises:
        CohortError: as `check_picture` and `dicom_image`; truncated; or a value is not finite.
    """
    check_picture(path)
    return check_values(read_pixels(path, size), path)


def check_values(values: NDArray[Any], source: object = "picture") -> NDArray[np.float32]:
    """Grey values in [0, 1] of any two-dimensional shape, as float32.

    Raises:
        CohortError: another number of axes, no pixel, a value that is not finite, or one out of range.
    """
    if values.ndim != 2 or not values.size:
        raise CohortError(f"{source}: has shape {list(values.shape)}; one grey plane is needed")
    if not np.isfinite(values).all():
        raise CohortError(f"{source}: a pixel is NaN or infinite; the file is damaged, fetch it again")
    if values.min() < 0 or values.max() > 1:
        raise CohortError(f"{source}: grey values must lie in [0, 1]")
    return values.astype(np.float32)


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < LEAST:
        raise CohortError(f"{path}: {width} x {height} pixels; at least {LEAST} on each side are needed")
    if max(width, height) > MOST:
        raise CohortError(f"{path}: {width} x {height} pixels; at most {MOST} on each side are read")


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its preamble, not its name."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_header(path: Path) -> Any:
    """A DICOM file's data set, without its pixels.

    Raises:
        CohortError: not a readable DICOM file, or pydicom is not installed.
    """
    return _read_dicom(path, pixels=False)


def _read_dicom(path: Path, pixels: bool) -> Any:
    try:
        pydicom = load_pydicom()
        from pydicom.filereader import read_file_meta_info
        from pydicom.uid import DeflatedExplicitVRLittleEndian
    except ImportError:
        raise CohortError(f'{path}: DICOM needs pydicom; pip install "harness[dicom]"') from None
    try:
        # Inflating has no limit: a small file could fill the memory.
        deflated = read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        file = None if deflated else pydicom.dcmread(path, stop_before_pixels=not pixels)
    except Exception as error:  # the library raises many kinds on damaged files
        raise CohortError(f"{path}: not a readable DICOM file ({type(error).__name__})") from None
    if file is None:
        raise CohortError(f"{path}: a deflated DICOM file; send it uncompressed")
    return file


def check_header(path: Path, file: Any) -> Picture:
    """What a DICOM header says of its picture, if that may enter.

    Raises:
        CohortError: as `check_picture`.
    """
    try:
        width, height, frames, allocated = (
            int(file.get(name) or other)
            for name, other in (("Columns", 0), ("Rows", 0), ("NumberOfFrames", 1), ("BitsAllocated", 0))
        )
    except (TypeError, ValueError):
        raise CohortError(f"{path}: not a readable DICOM file (its sizes are no numbers)") from None
    if not width or not height:
        raise CohortError(f"{path}: a DICOM file without a picture; send the radiograph itself")
    _check_size(path, width, height)
    if frames != 1:
        raise CohortError(f"{path}: a DICOM file of several frames; send one radiograph a file")
    photometric = str(file.get("PhotometricInterpretation", ""))
    if photometric.startswith("YBR"):
        photometric = "RGB"  # colour all the same; converted when it is read
    if photometric not in ("MONOCHROME1", "MONOCHROME2", "RGB"):
        raise CohortError(
            f"{path}: photometric interpretation {photometric or 'missing'}; MONOCHROME1, MONOCHROME2 and "
            "RGB are read"
        )
    if allocated not in (8, 16):
        raise CohortError(f"{path}: {allocated} bits a value; 8 and 16 are read")
    _check_bits(path, file, allocated)
    shape = str(file.get("PresentationLUTShape") or "").strip().upper()
    wanted = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    if shape and shape != wanted:  # PS3.3, C.8.11.3: viewers differ in which of the two they follow
        raise CohortError(
            f"{path}: its presentation LUT shape contradicts {photometric}, and it may be inverted; {wanted} "
            "is needed"
        )
    orientation(path, file)
    return Picture("DICOM", width, height, 8 if allocated == 8 else 16, photometric)  # type: ignore[arg-type]


def _check_bits(path: Path, file: Any, allocated: int) -> None:
    """Values must stand in the lowest bits, which is where the decoder reads them (PS3.5, 8.1.1)."""
    try:
        stored, high = (
            -1 if file.get(name) is None else int(file.get(name)) for name in ("BitsStored", "HighBit")
        )
    except (TypeError, ValueError):
        stored = high = -1
    if not 1 <= stored <= allocated:
        raise CohortError(
            f"{path}: bits stored are missing or more than the {allocated} allocated; fetch it again"
        )
    if high != stored - 1:
        raise CohortError(
            f"{path}: {stored} bits stored with high bit {'missing' if high < 0 else high}; {stored - 1} is "
            "needed"
        )


def orientation(path: Path, file: Any) -> str:
    """Where a DICOM picture's rows lead: L (the patient's left), A or P; empty where it is not told.

    Raises:
        CohortError: it is mirrored, upside down or lies on its side, so that sides would be mixed up, or
            Patient Orientation cannot be read.
    """
    told = file.get("PatientOrientation") or ()
    words = [str(word).strip().upper() for word in ([told] if isinstance(told, str) else told)]
    if not any(words):
        return ""
    row, column = words if len(words) == 2 else ("", "")
    if not row.startswith(("L", "A", "P")) or not column.startswith("F"):
        raise CohortError(
            f"{path}: its patient orientation is mirrored, turned or cannot be read; rows must lead to the "
            "patient's left (lateral: front or back), columns to the feet"
        )
    return row[0]


def dicom_image(path: Path) -> Pillow.Image:
    """A DICOM file's picture in 16 bits of grey, 0 to 65535, bright where the body is dense.

    Rescaled and windowed by its own lookup tables (PS3.3, C.11), MONOCHROME1 inverted, RGB to luminance,
    padding black. With a window the grey values are those of the window; without, the darkest pixel is
    0 and the brightest 65535.

    Raises:
        CohortError: as `check_picture`; truncated; compressed in a way that no installed decoder reads;
            a value is not finite; or nothing is to be seen on it.
    """
    file = _read_dicom(path, pixels=True)
    check_header(path, file)
    _check_compression(path, file)
    try:
        shown, low, high, padding = _shown(file)
    except Exception as error:
        raise CohortError(
            f"{path}: its pixels cannot be read ({type(error).__name__}); it is truncated or damaged: fetch "
            "it again"
        ) from None
    if shown.ndim != 2 or not np.isfinite(shown).all() or not np.isfinite([low, high]).all():
        raise CohortError(f"{path}: a pixel is NaN or infinite; the file is damaged, fetch it again")
    if high <= low:
        raise CohortError(f"{path}: all its pixels are alike; send the radiograph itself")
    scaled = np.clip((shown - low) / (high - low), 0, 1)
    if str(file.PhotometricInterpretation) == "MONOCHROME1":
        scaled = 1 - scaled
    if padding is not None:
        scaled[padding] = 0
    if scaled.max() <= _NEARLY_BLACK:
        raise CohortError(f"{path}: its window shows nothing but black; send the radiograph itself")
    return Pillow.fromarray(np.rint(scaled * 65535).astype(np.uint16))


def _check_compression(path: Path, file: Any) -> None:
    """A decoder must be there before the pixels are asked for, so that the reason can be told."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = file.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_encapsulated:
        return
    try:
        there = get_decoder(syntax).is_available
    except NotImplementedError:
        there = False
    if not there:
        raise CohortError(
            f"{path}: compressed as {syntax.name}, for which no decoder is installed; send it "
            "uncompressed, or pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        )


def _shown(file: Any) -> tuple[NDArray[np.float64], float, float, NDArray[np.bool_] | None]:
    """What a viewer shows before inversion; the values of black and white; where there is padding."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, convert_color_space

    values, photometric = file.pixel_array, str(file.PhotometricInterpretation)
    if values.ndim != 2:
        if photometric != "RGB":
            values = convert_color_space(values, photometric, "RGB")
        # Luminance as ITU-R BT.601 has it, and as PNG and JPEG are converted.
        grey = values.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
        return grey, float(grey.min()), float(grey.max()), None
    padding = _padding(values, file)
    shown = np.asarray(apply_voi_lut(apply_modality_lut(values, file), file), dtype=np.float64)
    if "WindowCenter" in file and "WindowWidth" in file and "VOILUTSequence" not in file:
        low, high = apply_voi_lut(np.array([-1e12, 1e12]), file)
        return shown, float(low), float(high), padding
    seen = shown if padding is None or padding.all() else shown[~padding]
    return shown, float(seen.min()), float(seen.max()), padding


def _padding(values: NDArray[Any], file: Any) -> NDArray[np.bool_] | None:
    """Pixels outside the exposed field (PS3.3, C.7.5.1.1.2), if the file marks them."""
    first = file.get("PixelPaddingValue")
    if first is None:
        return None
    last = file.get("PixelPaddingRangeLimit", first)
    marked: NDArray[np.bool_] = (values >= min(first, last)) & (values <= max(first, last))
    return marked if marked.any() else None
