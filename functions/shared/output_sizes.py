"""Widths and heights of the images that an upload becomes, in pixels."""

STABLE_JPEG_SIZE = 512  # independent of the configured sizes: apps rely on the image behind the stable URL
