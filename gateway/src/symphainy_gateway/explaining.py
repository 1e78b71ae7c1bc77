"""Why policy decided as it did: for those who govern, operate or audit, and for nobody else.

Everybody sees whether a stage let the intent pass. Which policies said so, and their reasons, would
show whoever is refused the way around them. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symphainy_gateway.callers import Caller
from symphainy_runtime.policy.defaults import EXPLAINED_TO
from symphainy_runtime.read_model.reader import Document


def is_told_why(caller: Caller) -> bool:
    """Whether one of the caller's roles is among those to whom decisions are explained."""
    return not EXPLAINED_TO.isdisjoint(caller.roles)


def explained(caller: Caller, document: Document) -> Document:
    """An execution's document as the caller may see it."""
    decision = document.get("decision")
    if not decision or is_told_why(caller):
        return document
    return {**document, "decision": bare(decision)}


def explained_events(caller: Caller, events: Sequence[Document]) -> list[Document]:
    """Events as the caller may see them."""
    if is_told_why(caller):
        return list(events)
    return [_event(event) for event in events]


def _event(event: Document) -> Document:
    if event["type"] != "policy_validated":
        return event
    data: Any = event["data"]
    return {**event, "data": {**data, "decision": bare(data["decision"])}}


def bare(decision: Document) -> Document:
    """A decision without the policies that determined it, and their reasons."""
    stages = [{**stage, "policies": [], "reasons": []} for stage in decision["stages"]]
    return {**decision, "stages": stages}
