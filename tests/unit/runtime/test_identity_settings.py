"""Settings of who may call.

- One issuer is set by single variables, more as JSON or TOML; both name the same, with the same
  defaults.
- What would let anybody in, or nobody know who answers, is refused by the setting's name.
- Secrets come from a variable or a file, several for a rotation; short ones are refused.
- No secret is in a repr, nor in what `symphainy doctor` shows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from symphainy_cli.showing import shown
from symphainy_runtime.identity_settings import OidcIssuer
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError

ISSUER = "https://idp.example/realms/acme"


def test_the_single_settings_are_those_of_an_issuer() -> None:
    for name, field in OidcIssuer.model_fields.items():
        single = RuntimeSettings.model_fields[f"oidc_{name}"]
        if field.is_required():
            assert not single.default
        else:
            assert single.default == field.default
            assert single.metadata == field.metadata


def test_one_issuer_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ISSUER": ISSUER,
        "AUDIENCE": "symphainy, other",
        "ALGORITHMS": "RS256",
        "ROLES_CLAIM": "realm_access.roles",
        "ONE_TIME": "true",
        "TENANTS": '["acme"]',
    }.items():
        monkeypatch.setenv(f"SYMPHAINY_OIDC_{name}", value)
    (issuer,) = RuntimeSettings.load().oidc()
    assert issuer == OidcIssuer(
        issuer=ISSUER,
        audience=("symphainy", "other"),
        algorithms=("RS256",),
        roles_claim="realm_access.roles",
        one_time=True,
        tenants=("acme",),
    )


def test_several_issuers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    more = [{"issuer": "https://b.example", "audience": "b", "one_time": True}]
    monkeypatch.setenv("SYMPHAINY_OIDC_ISSUERS", json.dumps(more))
    monkeypatch.setenv("SYMPHAINY_OIDC_ISSUER", ISSUER)
    monkeypatch.setenv("SYMPHAINY_OIDC_AUDIENCE", "a")
    assert [one.issuer for one in RuntimeSettings.load().oidc()] == [ISSUER, "https://b.example"]
    monkeypatch.setenv("SYMPHAINY_OIDC_ISSUER", "https://b.example")
    with pytest.raises(OperatorError) as refused:
        RuntimeSettings.load().oidc()
    assert refused.value.field == "oidc_issuers"
    for name in ("ISSUERS", "ISSUER", "AUDIENCE"):
        monkeypatch.delenv(f"SYMPHAINY_OIDC_{name}")
    file = tmp_path / "symphainy.toml"
    file.write_text(f'[[oidc_issuers]]\nissuer = "{ISSUER}"\naudience = ["a", "b"]\n')
    monkeypatch.setenv("SYMPHAINY_CONFIG", str(file))
    assert RuntimeSettings.load().oidc()[0].audience == ("a", "b")


def test_no_issuer_is_none() -> None:
    assert RuntimeSettings().oidc() == ()


@pytest.mark.parametrize(
    "members",
    [
        {"audience": ()},
        {"audience": " , "},
        {"algorithms": "none"},
        {"algorithms": "RS256,HS256"},
        {"algorithms": ()},
        {"issuer": ""},
        {"issuer": "idp.example"},
        {"issuer": "http://idp.example"},
        {"jwks_url": "http://idp.example/keys"},
        {"jwks_url": "file:///etc/passwd"},
        {"leeway_s": -1},
        {"leeway_s": 601},
        {"typo": 1},
    ],
)
def test_what_would_let_anybody_in_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OidcIssuer(**{"issuer": ISSUER, "audience": "a", **members})


def test_what_is_refused_is_named() -> None:
    with pytest.raises(OperatorError) as refused:
        RuntimeSettings(oidc_issuer=ISSUER).oidc()
    assert (refused.value.code, refused.value.field) == ("invalid_settings", "oidc_issuer")
    assert "audience" in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "[::1]:8080"])
def test_http_is_for_this_machine(host: str) -> None:
    assert OidcIssuer(issuer=f"http://{host}", audience=("a",))
    assert OidcIssuer(issuer="http://keycloak:8080", audience=("a",), insecure_http=True)


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = "a" * 32, "b" * 40
    monkeypatch.setenv("SYMPHAINY_INTENT_SECRET", f"{one},{two}")
    assert RuntimeSettings.load().intent_secrets() == (one.encode(), two.encode())
    monkeypatch.delenv("SYMPHAINY_INTENT_SECRET")
    file = tmp_path / "secret"
    file.write_text(f"\n{two}\n{one}\n")
    monkeypatch.setenv("SYMPHAINY_INTENT_SECRET_FILE", str(file))
    assert RuntimeSettings.load().intent_secrets() == (two.encode(), one.encode())
    assert RuntimeSettings(intent_secret_file=None).intent_secrets() == ()
    file.write_text(one[1:])
    with pytest.raises(OperatorError) as refused:
        RuntimeSettings.load().intent_secrets()
    assert one[1:] not in str(refused.value)
    file.unlink()
    with pytest.raises(OperatorError) as refused:
        RuntimeSettings.load().intent_secrets()
    assert refused.value.field == "intent_secret_file"


def test_no_secret_is_shown() -> None:
    hidden = "h1dden-and-long-enough-to-be-a-secret"
    settings = RuntimeSettings(
        intent_secret=SecretStr(hidden),
        kafka_sasl_password=SecretStr(hidden),
        kafka_ssl_key_password=SecretStr(hidden),
        kafka_extra={
            "sasl.password": hidden,
            "ssl.key.pem": hidden,
            "sasl.oauthbearer.client.secret": hidden,
            "debug": "cgrp",
        },
        redis_url=f"rediss://user:{hidden}@redis.example:6379/0",
    )
    told = [shown(getattr(settings, name)) for name in RuntimeSettings.model_fields]
    assert hidden not in " ".join(told)
    assert "(set)" in told
    assert "rediss://user:(set)@redis.example:6379/0" in told
    assert any("'debug': 'cgrp'" in one for one in told)
    assert hidden not in repr(settings) + str(settings)
    assert shown("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"
    assert shown(f"redis://:{hidden}@h/0") == "redis://:(set)@h/0"
    assert shown(SecretStr("")) == ""
