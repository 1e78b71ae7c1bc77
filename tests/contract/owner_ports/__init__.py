"""The contract of an owner's ports: one suite a port, which every adapter inherits."""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{port}_contract" for port in ("intake", "journal", "membership", "port")),
    f"{__name__}.state_log_contract",
)
