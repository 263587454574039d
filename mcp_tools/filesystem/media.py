"""What a file is by its first bytes: image and audio types that models take, and others for show. Pure, no files.

The signatures are those of the WHATWG MIME Sniffing Standard (https://mimesniff.spec.whatwg.org/, section 6), and for
FLAC, AAC and HEIC those of their formats. A name's ending is asked only where the bytes say nothing.
"""

import mimetypes

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS = {b"avif": "image/avif", b"heic": "image/heic", b"mif1": "image/heic", b"M4A ": "audio/mp4"}


def media_type(first: bytes, name: str) -> str:
    """The media type of a file `name` whose content starts with `first` (12 bytes are enough)."""
    if first[:4] == b"RIFF" and first[8:12] in _RIFF:
        return _RIFF[first[8:12]]
    if first[4:8] == b"ftyp" and first[8:12] in _BRANDS:
        return _BRANDS[first[8:12]]
    for signature, kind in _SIGNATURES:
        if first.startswith(signature):
            # Two letters prove little: a text may begin with BM.
            return kind if len(signature) > 2 or name.lower().endswith((".bmp", ".gz", ".tgz")) else _by_name(name)
    if len(first) > 1 and first[0] == 0xFF and first[1] & 0xE0 == 0xE0:  # an MPEG audio frame
        return "audio/aac" if first[1] & 0x06 == 0 else "audio/mpeg"
    guess = _by_name(name)
    # An ending that promises pixels or sound which the bytes do not have would only confuse a model.
    return "application/octet-stream" if guess.startswith(("image/", "audio/")) and guess != "image/svg+xml" else guess


def _by_name(name: str) -> str:
    return mimetypes.guess_type(name, strict=True)[0] or "application/octet-stream"
