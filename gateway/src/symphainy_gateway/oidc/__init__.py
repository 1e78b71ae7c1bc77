"""Tokens of OpenID Connect issuers: their keys, their signatures, their claims."""
