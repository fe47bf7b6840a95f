"""Small pictures, and folders and archives of them."""

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def encoded(image, kind="PNG", **options):
    """The content of a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def content(value, kind="PNG"):
    """Of a small picture that differs by its value from others."""
    return encoded(Image.new("RGB", (3, 2), (value % 256, value // 256, 7)), kind)


def noise(height, width, channels=3):
    """Red, green and blue, none like another."""
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def bomb(width, height):
    """A PNG of which only the header tells its size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    packed = zlib.compress(b"\0" * 99)
    return start + struct.pack(">I", len(packed)) + b"IDAT" + packed + struct.pack(">I", zlib.crc32(b"IDAT" + packed))


def tree(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with files; a name that ends in a slash is an empty folder."""
    for name, data in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return folder


def packed(path: Path, files: dict[str, bytes]) -> Path:
    """The same as an archive, by the path's ending."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def made(path: Path, files: dict[str, bytes]) -> Path:
    """A folder or an archive, by the path's ending."""
    return packed(path, files) if path.suffix else tree(path, files)


def classes(numbers: dict[str, int], first: int = 0) -> dict[str, bytes]:
    """Files of that many different pictures a class."""
    names = [f"{label}/{number}.png" for label, many in numbers.items() for number in range(many)]
    return {name: content(first + value) for value, name in enumerate(names)}
