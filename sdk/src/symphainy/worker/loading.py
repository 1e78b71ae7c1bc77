"""From "module:name" to the realm that stands there."""

from __future__ import annotations

import importlib
import os
import sys

from symphainy.errors import DeclarationError
from symphainy.participant import RuntimeParticipant
from symphainy.realm import Realm
from symphainy_schemas.errors import CallerError


def load(target: str) -> Realm:
    """Import a realm, or a participant as a realm of its own. The working folder is searched too.

    Raises:
        CallerError: there is no such module or name, or it is neither.
        DeclarationError: what is declared there is wrong.
    """
    module_name, _, path = target.partition(":")
    if not module_name or not path:
        raise _unloadable(target, "is not module:name", "Write for example examples.hello:realm.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # it is there, and imports what is not
        raise _unloadable(
            target,
            f"names module {error.name}, which is not there",
            "Install it, or start from the folder that holds it.",
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise _unloadable(target, f"names {name!r}, which is not there", "Check the spelling.")
        found = getattr(found, name)
    return as_realm(found, target)


def as_realm(found: object, target: str) -> Realm:
    """A realm as it is, a participant as the realm that its intent types name.

    Raises:
        CallerError: it is neither.
        DeclarationError: the participant supports nothing, or intents of several realms.
    """
    if isinstance(found, Realm):
        return found
    if isinstance(found, RuntimeParticipant):
        supported = found.get_supported_intents()
        if not supported:
            raise DeclarationError(f"{target} supports no intents.", code="bad_participant")
        realm = Realm(supported[0].partition(".")[0])
        realm.add(found)
        return realm
    raise _unloadable(
        target,
        f"is a {type(found).__name__}",
        "Name a Realm, or an instance of a RuntimeParticipant.",
    )


def _unloadable(target: str, what: str, cure: str) -> CallerError:
    return CallerError(f"{target!r} {what}.", code="no_realm", cure=cure)
