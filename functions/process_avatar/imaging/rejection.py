"""Why an upload will never become an avatar."""

from typing import Literal, TypeAlias

Reason: TypeAlias = Literal["not_an_image", "unsupported_format", "too_many_pixels", "truncated", "too_large"]


class Rejected(Exception):  # noqa: N818 - what happened to an upload, not an error of this program
    """The upload will never become an avatar, however often it is tried.

    Reasons: `not_an_image`; `unsupported_format`: a picture, but none of `formats.Format`; `too_many_pixels`, by its
    size or by the work it makes for that; `truncated`: begins as an accepted picture, but its data ends early or is
    damaged; `too_large`, in bytes.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
