"""Signed notes are those of c2sp.org/signed-note.

- Go's own note (golang.org/x/mod/sumdb/note) is opened, and signing its text yields it.
- What was altered, or signed by somebody else, is rejected; signatures of others beside are not.
- A signer's key tells nothing of its secret, and a key that was altered is none.
"""

from __future__ import annotations

import pytest

from symphainy_runtime.audit.notes import (
    KeyUnusable,
    NoteRejected,
    SignerKey,
    VerifierKey,
    open_note,
)

SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    f"{TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKv"
    "qfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
OTHER = SignerKey("other.example", b"o" * 32)


def test_gos_note_is_ours() -> None:
    key = VerifierKey.parse(PUBLIC)
    assert str(key) == PUBLIC
    assert open_note(NOTE, [OTHER.verifier, key]) == (TEXT, key)
    signer = SignerKey.parse(SECRET + "\n")
    assert signer.sign(TEXT) == NOTE
    assert signer.secret_text() == SECRET


def test_further_signatures_are_passed_over() -> None:
    both = OTHER.sign(TEXT) + NOTE.partition(b"\n\n")[2]
    assert open_note(both, [VerifierKey.parse(PUBLIC)])[0] == TEXT
    assert open_note(both, [OTHER.verifier])[0] == TEXT


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (NOTE.replace(b"answer", b"Answer"), "the signature of PeterNeumann is wrong"),
        (OTHER.sign(TEXT), "no known key"),
        (NOTE.replace(b"x08go/", b"x08gA/"), "no known key"),
        (TEXT.encode(), "not a signed note"),
        (NOTE[:-1], "not a signed note"),
        (NOTE.replace("— ".encode(), b"- "), "not a signed note"),
        (NOTE.replace(b"JnAM=", b"J!!!="), "not a signed note"),
        (b"", "not a signed note"),
    ],
)
def test_what_nobody_signed_is_rejected(note: bytes, why: str) -> None:
    with pytest.raises(NoteRejected, match=why):
        open_note(note, [VerifierKey.parse(PUBLIC)])


@pytest.mark.parametrize(
    "text", ["", PUBLIC[:-1], PUBLIC.replace("c74f20a3", "c74f20a4"), "a+b", PUBLIC + "=", SECRET]
)
def test_an_altered_verifier_key_is_none(text: str) -> None:
    with pytest.raises(KeyUnusable, match="symphainy audit key"):
        VerifierKey.parse(text)


@pytest.mark.parametrize("text", ["", PUBLIC, SECRET[:-1], SECRET.replace("c74f20a3", "c74f20a4")])
def test_an_altered_signer_key_is_none(text: str) -> None:
    with pytest.raises(KeyUnusable):
        SignerKey.parse(text)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\nb"])
def test_a_key_has_a_name_without_spaces(name: str) -> None:
    with pytest.raises(KeyUnusable, match="cannot be a key's name"):
        SignerKey(name, b"s" * 32)


def test_a_signer_key_does_not_show_its_secret() -> None:
    told = repr(SignerKey.parse(SECRET))
    assert told == "SignerKey(PeterNeumann+c74f20a3)"
