"""The segments and chunks of output files."""

JPEG_SEGMENTS = {"SOI", "APP0", "DQT", "SOF0", "DHT", "SOS", "EOI"}
WEBP_CHUNKS = ([b"VP8 "], [b"VP8X", b"ALPH", b"VP8 "])
MARKERS = {0xD8: "SOI", 0xE0: "APP0", 0xDB: "DQT", 0xC0: "SOF0", 0xC4: "DHT", 0xDA: "SOS", 0xD9: "EOI"}


def list_jpeg_segments(data: bytes) -> set[str]:
    """Return the names of all segments. The data of the scan contains no marker but the end of the image."""
    names, at = {"SOI"}, 2
    while names.isdisjoint({"SOS"}):
        names.add(MARKERS.get(data[at + 1], hex(data[at + 1])))
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    assert data.index(b"\xff\xd9", at) == len(data) - 2
    return names | {"EOI"}


def list_webp_chunks(data: bytes) -> list[bytes]:
    names: list[bytes] = []
    at = 12
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        names.append(data[at : at + 4])
        at += 8 + length + length % 2
    return names
