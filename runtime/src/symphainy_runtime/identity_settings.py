"""Settings of who may call: OpenID Connect issuers, and the secret that seals intents.

One issuer is set by `SYMPHAINY_OIDC_…`; several by `SYMPHAINY_OIDC_ISSUERS`, a JSON list of objects
with the same names (`[[oidc_issuers]]` in TOML).
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import NoDecode

from symphainy_schemas.errors import OperatorError
from symphainy_transport.settings import TransportSettings

if TYPE_CHECKING:
    from symphainy_transport.sealing import Sign

# As long as the hash: a shorter secret would be the weakest part (RFC 2104, section 3).
SECRET_MIN_BYTES = 32
_FAMILIES = ("RS", "PS", "ES")
# Asymmetric ones only: with a shared secret among them, a public key could be taken for it.
ALGORITHMS = frozenset(
    {f"{family}{bits}" for family in _FAMILIES for bits in (256, 384, 512)} | {"EdDSA", "Ed25519"}
)


def _split(value: Any) -> Any:
    """A list that was written with commas, or as JSON."""
    if isinstance(value, str) and value.startswith("["):
        return json.loads(value)
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Listed = Annotated[tuple[str, ...], BeforeValidator(_split), NoDecode]


class OidcIssuer(BaseModel):
    """An OpenID Connect provider whose tokens are accepted, and how they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    audience: Listed
    jwks_url: str = ""
    algorithms: Listed = ("RS256", "ES256", "EdDSA")
    leeway_s: float = Field(60.0, ge=0, le=600)
    tenant_claim: str = "tenant"
    tenants: Listed = ()
    principal_claim: str = "sub"
    roles_claim: str = "roles"
    scopes_claim: str = ""
    attribute_claims: Listed = ()
    required_claims: Listed = ()
    one_time: bool = False
    platform: bool = False
    max_age_s: float = Field(300.0, gt=0)
    stale_s: float = Field(3_600.0, ge=0)
    timeout_s: float = Field(5.0, gt=0, le=60)
    insecure_http: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> OidcIssuer:
        if not self.audience:
            raise ValueError("audience names nobody: state what tokens for this gateway name")
        unknown = set(self.algorithms) - ALGORITHMS
        if unknown or not self.algorithms:
            raise ValueError(
                f"algorithms {sorted(unknown)} are not accepted; use {sorted(ALGORITHMS)}"
            )
        for name, url in (("issuer", self.issuer), ("jwks_url", self.jwks_url)):
            if url or name == "issuer":
                self.require_url(name, url)
        return self

    def require_url(self, name: str, url: str) -> None:
        """Raises ValueError where nobody could tell who answers at the URL."""
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError(f"{name} {url!r} is no https:// URL")
        if parts.scheme == "http" and not (self.insecure_http or _is_here(parts.hostname)):
            raise ValueError(
                f"{name} {url!r} is not https; insecure_http=true allows that, and whoever is "
                "between can then be anybody"
            )


class IdentitySettings(TransportSettings):
    """Who may call."""

    oidc_issuer: str = Field("", description="its URL, as tokens state it in iss; empty: no OIDC")
    oidc_audience: Listed = Field((), description="what a token for this gateway states in aud")
    oidc_jwks_url: str = Field("", description="where its keys are; empty: discovered")
    oidc_algorithms: Listed = ("RS256", "ES256", "EdDSA")
    oidc_leeway_s: float = Field(60.0, ge=0, le=600, description="how far clocks may differ")
    oidc_tenant_claim: str = "tenant"
    oidc_tenants: Listed = Field((), description="tenants it may speak for; empty: all")
    oidc_principal_claim: str = "sub"
    oidc_roles_claim: str = Field("roles", description="a.b for b within a")
    oidc_scopes_claim: str = Field("", description="limits what a token is for; empty: nothing")
    oidc_attribute_claims: Listed = Field((), description="claims that are passed to policies")
    oidc_required_claims: Listed = Field((), description="claims that must be there, too")
    oidc_platform: bool = Field(
        False, description="its tokens may state the role of operators of the platform"
    )
    oidc_one_time: bool = Field(False, description="accept each token once, by its jti")
    oidc_max_age_s: float = Field(300.0, gt=0, description="after which keys are fetched anew")
    oidc_stale_s: float = Field(
        3_600.0, ge=0, description="how long after that old keys count while none can be fetched"
    )
    oidc_timeout_s: float = Field(5.0, gt=0, le=60, description="of one fetch")
    oidc_insecure_http: bool = Field(False, description="allow http:// to another machine")
    oidc_issuers: tuple[OidcIssuer, ...] = Field((), description="more of them, as JSON")
    oidc_max_token_bytes: int = Field(8_192, ge=256, le=65_536, description="largest token")
    oidc_cached_tokens: int = Field(10_000, ge=0, description="verified tokens that are kept")
    intent_secret: SecretStr = Field(
        SecretStr(""), description="seals intents; several with commas: the first seals"
    )
    intent_secret_file: Path | None = Field(None, description="the same, one a line")

    def oidc(self) -> tuple[OidcIssuer, ...]:
        """Every issuer that is accepted.

        Raises:
            OperatorError: settings of one are of no use, or two have the same name.
        """
        found = self.oidc_issuers
        if self.oidc_issuer:
            stated = {name: getattr(self, f"oidc_{name}") for name in OidcIssuer.model_fields}
            try:
                found = (OidcIssuer(**stated), *found)
            except ValidationError as error:
                raise _invalid("oidc_issuer", error.errors()[0]["msg"]) from error
        names = [one.issuer for one in found]
        if len(set(names)) < len(names):
            raise _invalid("oidc_issuers", "an issuer stands there twice")
        return found

    def sealing(self) -> Sign | None:
        """What seals the intents that a process of the system states; None: there is no secret.

        Raises:
            OperatorError: as `intent_secrets`.
        """
        from symphainy_transport.sealing import sealing  # settings alone need no codec

        secrets = self.intent_secrets()
        return sealing(secrets[0]) if secrets else None

    def intent_secrets(self) -> tuple[bytes, ...]:
        """The secrets that seal intents: the first seals, each one is recognised. Empty: none.

        Raises:
            OperatorError: one is too short, or the file cannot be read.
        """
        text = self.intent_secret.get_secret_value().replace(",", "\n")
        if self.intent_secret_file is not None:
            try:
                text += "\n" + self.intent_secret_file.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise _invalid(
                    "intent_secret_file", f"{self.intent_secret_file}: {type(error).__name__}"
                ) from error
        secrets = tuple(line.strip().encode() for line in text.splitlines() if line.strip())
        if any(len(secret) < SECRET_MIN_BYTES for secret in secrets):
            raise _invalid("intent_secret", f"a secret has at least {SECRET_MIN_BYTES} bytes")
        return secrets


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _invalid(field: str, what: str) -> OperatorError:
    return OperatorError(
        f"SYMPHAINY_{field.upper()}: {what}",
        code="invalid_settings",
        field=field,
        cure="Correct it; docs/identity.md says what each means.",
    )
