"""Signed notes, Ed25519: the C2SP signed-note format (c2sp.org/signed-note), as Go's sumdb uses it.

A note is a text that ends in a newline, an empty line, and a line for each signature:
`— <key name> <base64 of key id (4 bytes) and signature>`. A verifier key is one line,
`<name>+<key id in hex>+<base64 of 01 and public key>`; so is a signer's key, as Go writes it:
`PRIVATE+KEY+<name>+<key id>+<base64 of 01 and seed>`. Tools that read the format read these.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from symphainy_schemas.errors import OperatorError

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_SIGNED = "— "
_KEY_BYTES = 32


class KeyUnusable(OperatorError):
    """A key's text is not one. Operator action: `symphainy audit key` makes a pair."""

    code = "audit_key_unusable"


class NoteRejected(ValueError):
    """A note is not in the format, or nobody whom we know has signed it."""


class VerifierKey:
    """Whose signatures count: a name and an Ed25519 public key."""

    def __init__(self, name: str, public: bytes) -> None:
        """`public`: 32 bytes."""
        self.name = name
        self._public = Ed25519PublicKey.from_public_bytes(public)
        self._raw = public
        self.id = sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """From its line.

        Raises:
            KeyUnusable: it is not one, or its id is not the key's.
        """
        name, raw = _parse(text.strip(), "A verifier key")
        return cls(name, raw)

    def __str__(self) -> str:
        """Its line."""
        return f"{self.name}+{self.id.hex()}+{b64encode(_ED25519 + self._raw).decode()}"

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, over `text`."""
        try:
            self._public.verify(signature, text)
        except InvalidSignature:
            return False
        return True


class SignerKey:
    """Signs notes. Its text is a secret; its `repr` tells none of it."""

    def __init__(self, name: str, seed: bytes) -> None:
        """`name`: without spaces and `+`; `seed`: 32 random bytes.

        Raises:
            KeyUnusable: no key can have that name.
        """
        if not name or "+" in name or any(c.isspace() for c in name):
            raise KeyUnusable(
                f"{name!r} cannot be a key's name.",
                field="name",
                cure="Use a name without spaces and +, such as audit.example.org.",
            )
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._private.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SignerKey:
        """From its line.

        Raises:
            KeyUnusable: it is not one, or its id is not the key's.
        """
        text = text.strip()
        if not text.startswith(_PRIVATE):
            raise _unusable("A signer's key")
        name, _, rest = text.removeprefix(_PRIVATE).partition("+")
        stated, _, secret = rest.partition("+")
        key = cls(name, _raw(secret, "A signer's key"))
        if key.verifier.id.hex() != stated:
            raise _unusable("A signer's key")
        return key

    def secret_text(self) -> str:
        """Its line: for the key's file only."""
        encoded = b64encode(_ED25519 + self._seed).decode()
        return f"{_PRIVATE}{self.verifier.name}+{self.verifier.id.hex()}+{encoded}"

    def __repr__(self) -> str:
        return f"SignerKey({self.verifier.name}+{self.verifier.id.hex()})"

    def sign(self, text: str) -> bytes:
        """The note of `text`, which ends in a newline."""
        signature = self.verifier.id + self._private.sign(text.encode())
        line = f"{_SIGNED}{self.verifier.name} {b64encode(signature).decode()}\n"
        return f"{text}\n{line}".encode()


def open_note(note: bytes, keys: Iterable[VerifierKey]) -> tuple[str, VerifierKey]:
    """The text of a note, and the key that has signed it. Signatures of unknown keys are passed
    over, as the format asks.

    Raises:
        NoteRejected: it is no note, a signature of a known key is wrong, or none is there.
    """
    head, found, tail = note.rpartition(b"\n\n")
    if not found or not tail.endswith(b"\n"):
        raise NoteRejected("it is not a signed note")
    text = head + b"\n"
    known = {(key.name, key.id): key for key in keys}
    signer = None
    for name, key_id, signature in _signatures(tail):
        key = known.get((name, key_id))
        if key is None:
            continue
        if not key.signed(text, signature):
            raise NoteRejected(f"the signature of {name} is wrong")
        signer = signer or key
    if signer is None:
        raise NoteRejected("no known key has signed it")
    try:
        return text.decode(), signer
    except UnicodeDecodeError as error:
        raise NoteRejected("it is not UTF-8") from error


def _signatures(tail: bytes) -> list[tuple[str, bytes, bytes]]:
    found = []
    try:
        for line in tail.decode()[:-1].split("\n"):
            dash, name, encoded = line.split(" ")
            raw = b64decode(encoded, validate=True)
            if f"{dash} " != _SIGNED or len(raw) <= len(b"name"):
                raise ValueError(line)
            found.append((name, raw[:4], raw[4:]))
    except ValueError as error:
        raise NoteRejected("it is not a signed note") from error
    return found


def _parse(text: str, what: str) -> tuple[str, bytes]:
    name, _, rest = text.partition("+")
    stated, _, encoded = rest.partition("+")
    raw = _raw(encoded, what)
    if not name or sha256(name.encode() + b"\n" + _ED25519 + raw).hexdigest()[:8] != stated:
        raise _unusable(what)
    return name, raw


def _raw(encoded: str, what: str) -> bytes:
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError as error:
        raise _unusable(what) from error
    one_spelling = b64encode(raw).decode() == encoded
    if not one_spelling or len(raw) != 1 + _KEY_BYTES or raw[:1] != _ED25519:
        raise _unusable(what)
    return raw[1:]


def _unusable(what: str) -> KeyUnusable:
    return KeyUnusable(
        f"{what} is not in the signed-note format, or was altered.",
        cure="Use the line that `symphainy audit key` printed, or the file that it wrote.",
    )
