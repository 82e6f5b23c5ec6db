"""Files of the demo mail, drawn here so that none has to be kept: pictures as PNG, pages as PDF."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from math import sin

Colour = bytes


def bars(width: int, height: int) -> bytes:
    """A small bar chart."""
    heights = (35, 50, 42, 64, 80, 95, 72)

    def colour(x: int, y: int) -> Colour:
        bar, inside = divmod(x, width // len(heights))
        filled = 6 <= inside < 34 and height - y <= heights[bar] * height // 100
        return b"\x25\x63\xeb" if filled else b"\xf1\xf5\xf9"

    return _png(width, height, colour)


def mountains(width: int, height: int) -> bytes:
    """Three ranges of hills, one behind the other, before an evening sky."""
    ranges = [
        ([height * (0.45 + 0.10 * sin(x / 71) + 0.05 * sin(x / 23)) for x in range(width)], 0x8F),
        (
            [height * (0.62 + 0.09 * sin(1 + x / 53) + 0.03 * sin(x / 17)) for x in range(width)],
            0x6A,
        ),
        ([height * (0.80 + 0.07 * sin(2 + x / 89)) for x in range(width)], 0x45),
    ]

    def colour(x: int, y: int) -> Colour:
        for skyline, shade in reversed(ranges):
            if y >= skyline[x]:
                return bytes((shade * 2 // 3, shade, shade * 9 // 10))
        fade = y * 90 // height
        return bytes((250, 225 - fade, 190 - fade // 2))

    return _png(width, height, colour)


def _png(width: int, height: int, colour: Callable[[int, int], Colour]) -> bytes:
    rows = (b"\x00" + b"".join(colour(x, y) for x in range(width)) for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"".join(rows), 9))
        + chunk(b"IEND", b"")
    )


def pdf(lines: Sequence[str]) -> bytes:
    """A page with these lines of ASCII text (ISO 32000-1, section 7.5)."""
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    drawn = f"BT /F1 18 Tf 28 TL 72 740 Td {shown} ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    text, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(text))
        text += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    return (
        f"{text}xref\n0 {size}\n0000000000 65535 f \n{table}"
        f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(text)}\n%%EOF\n"
    ).encode("ascii")
