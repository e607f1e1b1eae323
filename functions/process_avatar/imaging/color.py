"""Conversion to sRGB."""

import struct
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageCms

from functions.process_avatar.imaging.prepared_image import MAX_PROFILE_BYTES, Cicp

# The type of multiProcessElements, ICC.1:2022, 10.16. A profile of one megabyte can have 100,000 elements, each applied
# to the 36,000 colors of a transform, which takes hours. Cameras do not write them.
_MULTI_PROCESS_ELEMENTS = b"mpet"


def convert_to_srgb(image: Image.Image, icc_profile: bytes | None, cicp: Cicp | None) -> Image.Image:
    """Return the image in sRGB, without metadata: of mode RGBA if it has an alpha channel, else RGB.

    `cicp` applies only without an ICC profile.
    """
    alpha = image.getchannel("A") if image.mode in {"LA", "RGBA"} else None
    if alpha:
        image = image.convert(image.mode.removesuffix("A"))
    if icc_profile is None and cicp and image.mode == "RGB":
        icc_profile = _build_cicp_profile(cicp)
    transform = _build_transform(icc_profile, image.mode) if icc_profile else None
    image = transform.apply(image) if transform else image.convert("RGB")
    if alpha:
        image.putalpha(alpha)
    image.info = {}
    return image


@lru_cache(maxsize=8)  # building a transform takes as long as applying it, and most phones use the same profile
def _build_transform(icc_profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return None for a profile that is broken or made for another mode. Browsers show such images as sRGB too."""
    if len(icc_profile) > MAX_PROFILE_BYTES or _MULTI_PROCESS_ELEMENTS in icc_profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(icc_profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (OSError, ImageCms.PyCMSError):
        return None


# --- Code points, https://www.itu.int/rec/T-REC-H.273 -----------------------------------------------------------------

_BT709 = 1
# Red, green, and blue of table 2 in XYZ, adapted from D65 to D50, the white point of ICC profiles, with the Bradford
# method: https://www.w3.org/TR/css-color-4/#color-conversion-code
_PRIMARIES = {
    _BT709: ((0.43607, 0.22249, 0.01392), (0.38515, 0.71689, 0.09708), (0.14308, 0.06062, 0.71410)),
    9: ((0.67352, 0.27906, -0.00193), (0.16570, 0.67532, 0.02998), (0.12508, 0.04562, 0.79706)),  # BT.2020
    12: ((0.51515, 0.24120, -0.00105), (0.29201, 0.69222, 0.04188), (0.15714, 0.06658, 0.78428)),  # Display P3
}
# Transfer characteristics, table 3. Displays use the sRGB curve for those of BT.709 and BT.2020.
_SRGB_TRANSFERS = {1, 2, 6, 13, 14, 15}
_PQ, _HLG = 16, 18
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_CURVE_SAMPLES = 1024


@lru_cache(maxsize=8)
def _build_cicp_profile(cicp: Cicp) -> bytes | None:
    """Return an ICC profile for the code points, or None if they are those of sRGB or unknown."""
    primaries, curve = _PRIMARIES.get(cicp.primaries), _build_curve(cicp.transfer)
    if not primaries or not curve or (cicp.primaries == _BT709 and cicp.transfer in _SRGB_TRANSFERS):
        return None
    tags = [(name, b"XYZ " + bytes(4) + _s15fixed16(*xyz)) for name, xyz in zip(_COLUMNS, primaries, strict=True)]
    return _build_profile(*tags, *((name, curve) for name in _CURVES))


def _build_curve(transfer: int) -> bytes | None:
    if transfer in _SRGB_TRANSFERS:
        parameters = _s15fixed16(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + parameters
    if transfer in _GAMMAS:
        return b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _s15fixed16(_GAMMAS[transfer])
    if transfer == _PQ:
        return _sample_curve(_pq_eotf)
    return _sample_curve(_hlg_eotf) if transfer == _HLG else None


def _pq_eotf(signal: float) -> float:
    """BT.2100, table 4, relative to reference white, 203 cd/m² in BT.2408. Brighter values are clipped."""
    root = signal ** (32 / 2523)
    return 10_000 / 203 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305)


def _hlg_eotf(signal: float) -> float:
    """BT.2100, table 5, without the system gamma, relative to reference white, a signal of 75% in BT.2408."""
    return _hlg_inverse_oetf(signal) / _hlg_inverse_oetf(0.75)


def _hlg_inverse_oetf(signal: float) -> float:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return signal**2 / 3 if signal <= 0.5 else (2.718281828459045 ** ((signal - c) / a) + b) / 12


def _sample_curve(eotf: Callable[[float], float]) -> bytes:
    values = [min(round(eotf(step / (_CURVE_SAMPLES - 1)) * 65535), 65535) for step in range(_CURVE_SAMPLES)]
    return b"curv" + bytes(4) + struct.pack(f">I{_CURVE_SAMPLES}H", _CURVE_SAMPLES, *values)


# Three-component matrix-based profiles, https://www.color.org/specification/ICC.1-2022-05.pdf, 8.3.3.
_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVES = (b"rTRC", b"gTRC", b"bTRC")
_D50 = (0.9642, 1.0, 0.8249)


def _build_profile(*tags: tuple[bytes, bytes]) -> bytes:
    entries = [(b"wtpt", b"XYZ " + bytes(4) + _s15fixed16(*_D50)), *tags]
    table, body = struct.pack(">I", len(entries)), b""
    start = 128 + 4 + 12 * len(entries)
    for name, data in entries:
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size, version = start + len(body), 0x04300000
    header = struct.pack(">I4xI4s4s4s12x4s28x", size, version, b"mntr", b"RGB ", b"XYZ ", b"acsp") + _s15fixed16(*_D50)
    return header.ljust(128, b"\0") + table + body


def _s15fixed16(*numbers: float) -> bytes:
    """s15Fixed16Number: signed, 16 integer bits and 16 fractional bits."""
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
