"""A checkpoint: what one partition's journal was, as a text to be signed.

The text is C2SP tlog-checkpoint (c2sp.org/tlog-checkpoint): origin, tree size and root in its first
three lines, then extension lines, each a word and its values. docs/audit.md lists them.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256

from msgspec import Struct

from symphainy_runtime.audit.notes import NoteRejected
from symphainy_runtime.audit.tree import HASH_BYTES, root_of
from symphainy_runtime.journal.validity import Validity

ORIGIN = "symphainy"
_NONE = "-"


class Checkpoint(Struct, frozen=True, kw_only=True):
    """What stood in a partition's journal, up to an offset."""

    origin: str
    """`symphainy/<cluster id>/<topic>/<topic id>/<partition>`: no two journals share one."""
    number: int
    """Counts a journal's checkpoints, from 0."""
    start: int
    """The first offset that this checkpoint adds."""
    end: int
    """The offset after the last."""
    size: int
    """Leaves of the tree: valid records from the first checkpoint on."""
    peaks: tuple[bytes, ...]
    """Roots of the tree's perfect subtrees, largest first: whoever goes on needs no more of it."""
    standing: Validity
    """A reader's standing after `end` (rule 18)."""
    leaves: bytes
    """SHA-256 of the list of hashes that is kept beside it."""
    previous: bytes
    """SHA-256 of the checkpoint before, as it is kept; empty in the first."""
    log_start: int
    """The first offset that Kafka kept then."""
    first_appended_ms: int
    """Kafka's time of the record at `start`, ms since the epoch."""
    appended_ms: int
    """Kafka's time of the last record below `end`, ms since the epoch."""
    at_ms: int
    """When it was made, by the auditor's clock, ms since the epoch."""

    @property
    def root(self) -> bytes:
        """The tree's hash."""
        return root_of(self.peaks)

    @property
    def partition(self) -> int:
        """Of which partition it is."""
        return int(self.origin.rpartition("/")[2])


def origin_of(identity: str, partition: int) -> str:
    """The origin of a partition's checkpoints; `identity` is `<cluster id>/<topic>/<topic id>`."""
    return f"{ORIGIN}/{identity}/{partition}"


def note_hash(note: bytes) -> bytes:
    """What the next checkpoint calls this one."""
    return sha256(note).digest()


def checkpoint_text(one: Checkpoint) -> str:
    """The text that is signed."""
    standing = one.standing
    lines = [
        one.origin,
        str(one.size),
        _base64(one.root),
        f"number {one.number}",
        f"offsets {one.start} {one.end}",
        f"standing {standing.term} {standing.seq} {standing.offset} {_hex(standing.hash)}",
        " ".join(("peaks", *map(_base64, one.peaks))),
        f"leaves {_hex(one.leaves)}",
        f"previous {_hex(one.previous)}",
        f"log-start {one.log_start}",
        f"appended {one.first_appended_ms} {one.appended_ms}",
        f"time {one.at_ms}",
    ]
    return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """From its text.

    Raises:
        NoteRejected: it is not a checkpoint of ours, or says one thing in two ways.
    """
    try:
        one = _parsed(text.removesuffix("\n").split("\n"))
        # Written anew it must be the same text: no second spelling, and the root is the peaks'.
        same = checkpoint_text(one) == text and one.partition >= 0
    except (ValueError, IndexError, KeyError) as error:
        raise NoteRejected(f"it is not a checkpoint of a journal: {error}") from error
    if not same or one.size.bit_count() != len(one.peaks):
        raise NoteRejected("its lines contradict each other")
    return one


def _parsed(lines: list[str]) -> Checkpoint:
    said = {word: rest.split() for word, _, rest in (line.partition(" ") for line in lines[3:])}
    start, end = said["offsets"]
    term, seq, offset, standing_hash = said["standing"]
    first_appended, appended = said["appended"]
    return Checkpoint(
        origin=lines[0],
        number=int(said["number"][0]),
        start=int(start),
        end=int(end),
        size=int(lines[1]),
        peaks=tuple(b64decode(peak, validate=True) for peak in said["peaks"]),
        standing=Validity(int(term), int(seq), int(offset), _unhex(standing_hash)),
        leaves=_unhex(said["leaves"][0]),
        previous=_unhex(said["previous"][0]),
        log_start=int(said["log-start"][0]),
        first_appended_ms=int(first_appended),
        appended_ms=int(appended),
        at_ms=int(said["time"][0]),
    )


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def _hex(raw: bytes) -> str:
    return raw.hex() or _NONE


def _unhex(text: str) -> bytes:
    raw = b"" if text == _NONE else bytes.fromhex(text)
    if len(raw) not in (0, HASH_BYTES):
        raise ValueError(f"{text} is not a hash")
    return raw
