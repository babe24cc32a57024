"""The image formats that convzoo reads: in folders and archives, and in every command that takes image files."""

# Pillow's names, and the endings of file names by which images are found in folders.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "PPM": (".pbm", ".pgm", ".ppm"),
}
ENDINGS = tuple(ending for endings in FORMATS.values() for ending in endings)
NAMES = ", ".join(FORMATS)


def is_image_name(name: str) -> bool:
    """Whether a file name has the ending of one of these formats, in any case."""
    return name.lower().endswith(ENDINGS)
