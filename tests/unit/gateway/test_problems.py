"""Problem documents.

- Every code has one status; one that the table does not know gets the status of who must act.
- A document leaves out what it does not know, and never loses the code.
- 401, 429 and 503 carry the headers that HTTP asks of them; a refusal may say when to come back.
"""

from __future__ import annotations

import json

import pytest
from tests.unit.gateway.fakes import error

from symphainy_gateway.problems import (
    KINDS,
    Refused,
    Rejected,
    Violation,
    error_reply,
    problem_of,
    rejection,
)
from symphainy_schemas.errors import CallerError, OperatorError, SymphainyError, Unavailable


@pytest.mark.parametrize("code", sorted(KINDS))
def test_every_code_becomes_its_own_problem(code: str) -> None:
    problem = problem_of(CallerError("It is so.", code=code), "/v1/x")
    assert (problem.code, problem.status, problem.title) == (code, *KINDS[code])
    assert (problem.type, problem.instance) == (f"urn:symphainy:problem:{code}", "/v1/x")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Rejected("No.", code="policy_says_no"), 422),
        (Unavailable("No.", code="store_down"), 503),
        (OperatorError("No.", code="disk_full"), 503),
        (CallerError("No.", code="odd"), 400),
    ],
)
def test_an_unlisted_code_gets_the_status_of_who_must_act(
    failure: SymphainyError, status: int
) -> None:
    assert problem_of(failure).status == status


def test_a_document_leaves_out_what_it_does_not_know() -> None:
    reply = error_reply(CallerError("No.", code="malformed_json"), "/v1/intents")
    assert json.loads(bytes(reply.body)) == {
        "type": "urn:symphainy:problem:malformed_json",
        "title": "The body is not JSON",
        "status": 400,
        "detail": "No.",
        "code": "malformed_json",
        "instance": "/v1/intents",
    }


def test_a_refusal_tells_everything_that_it_knows() -> None:
    refusal = Refused(
        "No.",
        code="contract_violation",
        field="/payload/n",
        cure="Mend it.",
        execution_id="exe",
        intent_id="int",
        errors=(Violation("/payload/n", "No."),),
    )
    document = json.loads(bytes(error_reply(refusal, "").body))
    assert (document["execution_id"], document["intent_id"]) == ("exe", "int")
    assert document["errors"] == [{"field": "/payload/n", "message": "No."}]
    assert (document["field"], document["cure"]) == ("/payload/n", "Mend it.")


@pytest.mark.parametrize(
    ("code", "header"),
    [
        ("unauthenticated", b"www-authenticate"),
        ("wal_unavailable", b"retry-after"),
        ("backlogged", b"retry-after"),
    ],
)
def test_the_headers_that_a_status_asks_for(code: str, header: bytes) -> None:
    reply = error_reply(CallerError("No.", code=code), "")
    assert header in dict(reply.raw_headers)


def test_a_refusal_says_when_to_come_back() -> None:
    reply = error_reply(Refused("No.", code="backlogged", retry_after_s=17), "")
    assert dict(reply.raw_headers)[b"retry-after"] == b"17"
    assert json.loads(bytes(reply.body))["retry_after_s"] == 17


def test_a_rejection_tells_the_journaled_error() -> None:
    document = {"execution_id": "exe", "intent_id": "int", "error": error("session_closed")}
    problem = problem_of(rejection(document))
    assert (problem.status, problem.code) == (409, "session_closed")
    assert (problem.detail, problem.field, problem.cure) == (
        "It is session_closed.",
        "/x",
        "Mend it.",
    )


def test_a_rejection_without_an_error_is_still_told() -> None:
    problem = problem_of(rejection({"execution_id": "exe", "intent_id": "int", "error": None}))
    assert (problem.status, problem.code) == (422, "rejected")
