"""From the colours a picture was stored in to sRGB, which every screen understands."""

import struct
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

from functions.process_avatar.imaging.prepared_image import MAX_PROFILE_BYTES, Cicp

# Elements of a processing pipeline, of which a profile can have a hundred thousand for a megabyte, all applied to
# every one of the 36,000 colours that a transform is made of: hours. No camera writes them. ICC.1:2022, 10.16.
_PIPELINE = b"mpet"


def in_srgb(picture: Image.Image, profile: bytes | None, cicp: Cicp | None) -> Image.Image:
    """The picture as RGB, or as RGBA if it has an alpha channel; nothing but pixels comes along.

    `profile` is the ICC profile it is stored with, and `cicp` what it says about its colours if it has none.
    """
    alpha = picture.getchannel("A") if picture.mode in {"LA", "RGBA"} else None
    if alpha:
        picture = picture.convert(picture.mode.removesuffix("A"))
    if profile is None and cicp and picture.mode == "RGB":
        profile = _profile_of(cicp)
    transform = _to_srgb(profile, picture.mode) if profile else None
    picture = transform.apply(picture) if transform else picture.convert("RGB")
    if alpha:
        picture.putalpha(alpha)
    picture.info = {}
    return picture


@lru_cache(maxsize=8)  # building one takes as long as applying it, and most phones have the same profile
def _to_srgb(profile: bytes, mode: str) -> "ImageCms.ImageCmsTransform | None":
    """None if the profile is broken or made for other kinds of pixels: browsers show such a picture as sRGB too."""
    from PIL import ImageCms  # when the first profile arrives

    if len(profile) > MAX_PROFILE_BYTES or _PIPELINE in profile:
        return None
    try:
        embedded = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.buildTransform(embedded, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (OSError, ImageCms.PyCMSError):
        return None


# --- Code points, https://www.itu.int/rec/T-REC-H.273 -----------------------------------------------------------------

_BT709 = 1
# Red, green and blue of table 2 in X, Y, Z, adapted from the white of D65 to D50, that of profiles, by Bradford's
# method: https://www.w3.org/TR/css-color-4/#color-conversion-code
_PRIMARIES = {
    _BT709: ((0.43607, 0.22249, 0.01392), (0.38515, 0.71689, 0.09708), (0.14308, 0.06062, 0.71410)),
    9: ((0.67352, 0.27906, -0.00193), (0.16570, 0.67532, 0.02998), (0.12508, 0.04562, 0.79706)),  # BT.2020
    12: ((0.51515, 0.24120, -0.00105), (0.29201, 0.69222, 0.04188), (0.15714, 0.06658, 0.78428)),  # Display P3
}
# What screens do with each transfer, table 3: the curves of BT.709 and BT.2020 are shown by that of sRGB.
_SRGB_TRANSFERS = {1, 2, 6, 13, 14, 15}
_PQ, _HLG = 16, 18
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_CURVE_STEPS = 1024


@lru_cache(maxsize=8)
def _profile_of(cicp: Cicp) -> bytes | None:
    """A profile for those code points; None if they are sRGB's, or none that are known here."""
    primaries, curve = _PRIMARIES.get(cicp.primaries), _curve_of(cicp.transfer)
    if not primaries or not curve or (cicp.primaries == _BT709 and cicp.transfer in _SRGB_TRANSFERS):
        return None
    tags = [(name, b"XYZ " + bytes(4) + _s15(*xyz)) for name, xyz in zip(_COLUMNS, primaries, strict=True)]
    return _profile(*tags, *((name, curve) for name in _CURVES))


def _curve_of(transfer: int) -> bytes | None:
    if transfer in _SRGB_TRANSFERS:
        return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _s15(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    if transfer in _GAMMAS:
        return b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _s15(_GAMMAS[transfer])
    if transfer == _PQ:
        return _sampled(_pq)
    return _sampled(_hlg) if transfer == _HLG else None


def _pq(signal: float) -> float:
    """Light by BT.2100, table 4; 1 is the white of a page, 203 cd/m² by BT.2408. What is brighter is cut off."""
    root = signal ** (32 / 2523)
    return 10_000 / 203 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305)


def _hlg(signal: float) -> float:
    """Light by BT.2100, table 5, without the system gamma; 1 is the white of a page, 75 % by BT.2408."""
    return _hlg_scene(signal) / _hlg_scene(0.75)


def _hlg_scene(signal: float) -> float:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return signal**2 / 3 if signal <= 0.5 else (2.718281828459045 ** ((signal - c) / a) + b) / 12


def _sampled(light: Callable[[float], float]) -> bytes:
    values = [min(round(light(step / (_CURVE_STEPS - 1)) * 65535), 65535) for step in range(_CURVE_STEPS)]
    return b"curv" + bytes(4) + struct.pack(f">I{_CURVE_STEPS}H", _CURVE_STEPS, *values)


# https://www.color.org/specification/ICC.1-2022-05.pdf, 8.3.3: a matrix, and a curve for each colour
_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVES = (b"rTRC", b"gTRC", b"bTRC")
_D50 = (0.9642, 1.0, 0.8249)


def _profile(*tags: tuple[bytes, bytes]) -> bytes:
    entries = [(b"wtpt", b"XYZ " + bytes(4) + _s15(*_D50)), *tags]
    table, body = struct.pack(">I", len(entries)), b""
    start = 128 + 4 + 12 * len(entries)
    for name, data in entries:
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size, version = start + len(body), 0x04300000
    header = struct.pack(">I4xI4s4s4s12x4s28x", size, version, b"mntr", b"RGB ", b"XYZ ", b"acsp") + _s15(*_D50)
    return header.ljust(128, b"\0") + table + body


def _s15(*numbers: float) -> bytes:
    """s15Fixed16Number: 16 bits before the point, 16 after."""
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
