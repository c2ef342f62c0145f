"""A mark in every exported file by which it is known again, as long as nobody has changed it.

The mark carries a hash of the file with that hash left blank, so that an edit by hand shows, in
every format alike.
"""

from __future__ import annotations

import hashlib
import re

_DIGITS = 16
MARK = f"Written by backnorm export, sha256 {'0' * _DIGITS}"
_SEALED = re.compile(rb"(Written by backnorm export, sha256 )([0-9a-f]{%d})" % _DIGITS)


def sealed(content: bytes) -> bytes:
    """The content, which has the mark in it, with its hash filled in."""
    digest = hashlib.sha256(content).hexdigest()[:_DIGITS].encode()
    return _SEALED.sub(rb"\g<1>" + digest, content, count=1)


def is_sealed(content: bytes) -> bool:
    """Whether this is an exported file as it was written."""
    return sealed(_SEALED.sub(rb"\g<1>" + b"0" * _DIGITS, content, count=1)) == content and bool(
        _SEALED.search(content)
    )
