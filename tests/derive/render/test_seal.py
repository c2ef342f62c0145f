"""The mark of exported files."""

from __future__ import annotations

import pytest

from derive.render.exports import FORMATS, exported
from derive.render.seal import MARK, is_sealed, sealed
from tests.derive.render.documents import published


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"pdf"}))
def test_every_format_has_the_mark_and_an_edit_shows(kind: str) -> None:
    content = exported(published("rms_norm"), FORMATS[kind])
    assert content.count(MARK[:-16].encode()) == 1
    assert MARK.encode() not in content
    assert is_sealed(content)
    assert not is_sealed(content + b" ")
    assert not is_sealed(content.replace(b"mean", b"men", 1))


def test_what_has_no_mark_is_not_sealed() -> None:
    for content in (b"", b"anything", MARK.encode(), b"Written by backnorm export, sha256 0123"):
        assert not is_sealed(content)
    assert is_sealed(sealed(MARK.encode()))
