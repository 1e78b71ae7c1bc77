"""Why content cannot be sealed or opened, and who must act."""

from __future__ import annotations

from symphainy_schemas.errors import CallerError, OperatorError, Unavailable


class ContentShredded(CallerError):
    """The tenant's keys were destroyed: nobody reads its content any more, and it states none."""

    code = "content_shredded"

    def __init__(self, tenant_id: str) -> None:
        super().__init__(
            f"The content of tenant {tenant_id} was shredded: its keys are destroyed.",
            cure="Nothing brings it back. Use another tenant.",
        )


class KeysUnavailable(Unavailable):
    """The keys cannot be had now; nothing is known of the content."""

    code = "keys_unavailable"


class KeysUnusable(OperatorError):
    """Keys are there that must not, or cannot, be used.

    Operator action: the message says which, and the cure what to do.
    """

    code = "keys_unusable"


class ContentCorrupt(OperatorError):
    """Sealed bytes that no key of the tenant opens: changed, another tenant's, or cut off.

    Operator action: find who wrote them; `symphainy audit verify` tells whether history changed.
    """

    code = "content_corrupt"

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            cure="Find who wrote it; `symphainy audit verify` tells whether history was changed.",
        )


class KeysNotSet(OperatorError):
    """Content is sealed, and this process has no key service.

    Operator action: set SYMPHAINY_KEY_FOLDER as where it was sealed.
    """

    code = "keys_not_set"

    def __init__(self) -> None:
        super().__init__(
            "Content is sealed, and this process has no key service.",
            cure="Set SYMPHAINY_KEY_FOLDER as where it was sealed.",
        )
