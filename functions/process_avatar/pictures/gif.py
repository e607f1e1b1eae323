"""What a GIF is made of: https://www.w3.org/Graphics/GIF/spec-gif89a.txt."""

from functions.process_avatar.pictures.still import Still

_HEADER_BYTES = 13
_EXTENSION, _IMAGE = b"!", b","
_GRAPHIC_CONTROL = b"\xf9"
_DESCRIPTOR_BYTES = 10


def still(gif: bytes) -> Still:
    """The first picture, with what says which of its colours is transparent."""
    at = _HEADER_BYTES + _colour_table_bytes(gif[10:11])
    kept = [gif[:at]]
    while gif[at : at + 1] == _EXTENSION:
        end = _after_blocks(gif, at + 2)
        if gif[at + 1 : at + 2] == _GRAPHIC_CONTROL:
            kept.append(gif[at:end])
        at = end
    if gif[at : at + 1] == _IMAGE:
        pixels = at + _DESCRIPTOR_BYTES + _colour_table_bytes(gif[at + 9 : at + 10])
        kept.append(gif[at : _after_blocks(gif, pixels + 1)])
    return Still(b"".join(kept))


def _colour_table_bytes(flags: bytes) -> int:
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _after_blocks(gif: bytes, at: int) -> int:
    """Where the sub-blocks that begin at `at`, each with its length before it and the last of none, have ended."""
    while at < len(gif) and gif[at]:
        at += 1 + gif[at]
    return at + 1
