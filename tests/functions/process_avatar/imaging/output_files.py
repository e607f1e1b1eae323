"""What the files we make consist of, read from their own bytes."""

JPEG_SEGMENTS = {"SOI", "APP0", "DQT", "SOF0", "DHT", "SOS", "EOI"}
WEBP_CHUNKS = ([b"VP8 "], [b"VP8X", b"ALPH", b"VP8 "])
MARKERS = {0xD8: "SOI", 0xE0: "APP0", 0xDB: "DQT", 0xC0: "SOF0", 0xC4: "DHT", 0xDA: "SOS", 0xD9: "EOI"}


def jpeg_segments(data: bytes) -> set[str]:
    """The names of all segments; a scan's data is jumped over, as it holds no marker but the end."""
    names, at = {"SOI"}, 2
    while names.isdisjoint({"SOS"}):
        names.add(MARKERS.get(data[at + 1], hex(data[at + 1])))
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    assert data.index(b"\xff\xd9", at) == len(data) - 2
    return names | {"EOI"}


def webp_chunks(data: bytes) -> list[bytes]:
    names: list[bytes] = []
    at = 12
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        names.append(data[at : at + 4])
        at += 8 + length + length % 2
    return names
