"""Whether a static member that the broker has refused may join again under its name.

FENCED_INSTANCE_ID says that the group knows another member under that name (KIP-345). That is
another process, which lives; or one that died before its session has ended; or this one itself: a
broker writes down who is in a group when a rebalance is through, so one that crashes before, or
that another takes over from, remembers who had the name before it came. Only the first is a reason
to end. The group tells them apart: of the last two nobody is heard any more, and they are gone when
their session is over.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Set
from typing import Any

from confluent_kafka import KafkaException

from symphainy_transport.clients import admin
from symphainy_transport.settings import TransportSettings

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.5
ANSWER_S = 5.0
UUID_CHARACTERS = 36
MARGIN_S = 5.0  # the coordinator may begin to count a session when it takes the group over


class Returning:
    """Looks at the group, from a thread of its own, until it can be said."""

    def __init__(
        self,
        settings: TransportSettings,
        client_id: str,
        group: str,
        name: str,
        *,
        ours: Set[str],
        session_s: float,
    ) -> None:
        """`ours` are the ids under which this process was a member; `session_s` is how long one is
        remembered of whom nothing is heard."""
        self._group, self._prefix, self._ours = group, f"{name}-", ours
        self._patience_s = session_s + MARGIN_S
        self._admin = admin(settings, client_id)
        self._free: bool | None = None
        self._closing, self._known = threading.Event(), threading.Event()
        threading.Thread(target=self._look, name=client_id, daemon=True).start()

    def free(self) -> bool | None:
        """Whether nobody who lives has the name; None while that is not known."""
        return self._free

    def wait(self, timeout_s: float) -> None:
        """Until it is known, or for so long."""
        self._known.wait(timeout_s)

    def close(self) -> None:
        """Look no more."""
        self._closing.set()

    def _look(self) -> None:
        since: float | None = None
        while not self._closing.wait(LOOK_EVERY_S):
            others = self._others()
            if others is None:
                continue  # whoever lives is not heard either while the broker is away
            since = since or time.monotonic()
            if not others or time.monotonic() - since >= self._patience_s:
                self._free = not others
                self._known.set()
                return

    def _others(self) -> frozenset[str] | None:
        """The members under our name that we never were; None where that cannot be said now.

        A broker names a static member after its instance id, a hyphen and a UUID.
        """
        try:
            found = self._admin.list_groups(self._group, timeout=ANSWER_S)
        except KafkaException as error:
            log.warning("who has our name cannot be asked: %s", error)
            return None
        group: Any = found[0] if found else None  # its stub says that these attributes are None
        if group is None or group.error is not None:
            return None
        return frozenset(member.id for member in group.members if self._is_named(member.id))

    def _is_named(self, member_id: str) -> bool:
        named = member_id.startswith(self._prefix)
        whole = len(member_id) == len(self._prefix) + UUID_CHARACTERS
        return named and whole and member_id not in self._ours
