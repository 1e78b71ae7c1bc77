"""Whose local state a partition finds.

- A topic that was deleted and made anew under its name is not the one that the state reflects.
- Another cluster's, topic's or partition's state is only of no use.
"""

from __future__ import annotations

import pytest

from symphainy_processors.owner.restoring import made_anew

TODAY = "cluster/acme.journal/id/2=/3"


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ("cluster/acme.journal/id/1=/3", True),
        ("cluster/acme.journal/other/3", True),
        (TODAY, False),
        ("cluster/acme.journal/id/2=/1", False),
        ("cluster/other.journal/id/1=/3", False),
        ("another/acme.journal/id/1=/3", False),
        ("cluster/id/3", False),
        ("", False),
    ],
)
def test_only_a_topic_of_the_same_name_was_made_anew(known: str, found: bool) -> None:
    assert made_anew(known, TODAY) is found
