"""A tenant's policies: seen, asked about an intent, and put in force, by those who govern it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import bodies, parameters
from symphainy_gateway.callers import Caller
from symphainy_gateway.controls import control
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.openapi import APPENDING, OF_TENANT, WITH_BODY, Operation
from symphainy_gateway.policies import (
    intent_of,
    policies_document,
    read_question,
    read_texts,
    require_governing,
    require_told_why,
    unsound,
)
from symphainy_gateway.replies import json_reply
from symphainy_gateway.submitting import DECISION_WAIT_S, Acknowledged
from symphainy_runtime.policy.actions import ACTIVATE_POLICY
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_runtime.policy.telling import decision_document
from symphainy_runtime.policy.writing import findings, newest, policy_set, written
from symphainy_schemas import ids
from symphainy_schemas.records import PLATFORM, PolicySet
from symphainy_transport.credentials import READ


class PolicyRoutes:
    """Answers about a tenant's own policies."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        LIST.add(router, self.list_policies)
        PUT.add(router, self.put_policies)
        CHECK.add(router, self.check_policies)

    async def list_policies(self, request: Request) -> Response:
        """List the versions of the tenant's own policies, newest first, with their texts."""
        caller = await self._gateway.caller(request, READ)
        require_told_why(caller)
        parameters.query(request.scope["query_string"])
        known = self._gateway.backend.configuration.policies.values()
        own = [one for one in known if one.scope == caller.tenant_id]
        own.sort(key=lambda one: -one.version)
        return json_reply(200, {"items": [policies_document(one) for one in own]})

    async def put_policies(self, request: Request) -> Response:
        """Check the tenant's policies, write them as the next version, and put them in force.

        Whether the caller may, the platform's policies decide, on every partition. A partition
        whose decision is not known within 5 s is answered as `accepted`: it comes.
        """
        caller, body = await self._body(request)
        require_governing(caller)
        stated = read_texts(body)
        gateway = self._gateway
        backend = gateway.backend
        asked = policy_set(
            caller.tenant_id,
            stated.texts,
            note=stated.note,
            created_by=caller.principal,
            now_ms=backend.clock.now_ms(),
        )
        found = findings(asked, backend.configuration)
        if found:
            raise unsound(found)
        kept = await asyncio.to_thread(written, backend.settings, asked)
        answers = await self._activate(request, caller, kept)
        partitions = [{"partition": p, "status": one} for p, one in enumerate(answers)]
        return json_reply(200, {**policies_document(kept), "partitions": partitions})

    async def check_policies(self, request: Request) -> Response:
        """Say whether an intent would be let pass, and which policies decide; it is not stated.

        By the newest policies of the tenant and the platform; a `candidate` takes the place of the
        tenant's.
        """
        caller, body = await self._body(request)
        require_told_why(caller)
        asked = read_question(body)
        backend = self._gateway.backend
        known, now = backend.configuration, backend.clock.now_ms()
        own = newest(known, caller.tenant_id)
        if asked.candidate is not None:
            own = policy_set(caller.tenant_id, asked.candidate.texts)
        policies = Policies(newest(known, PLATFORM) or BUILT_IN, own)
        tenant = known.tenants.get(caller.tenant_id)
        decision = policies.decide(Facts(intent_of(asked, caller, now), now, tenant))
        return json_reply(200, decision_document(decision))

    async def _body(self, request: Request) -> tuple[Caller, bytes]:
        gateway, headers = self._gateway, dict(request.scope["headers"])
        caller = await gateway.caller(request)
        parameters.query(request.scope["query_string"])
        with gateway.pressure.body(caller.tenant_id, headers):
            body = await gateway.body(request, headers)
            bodies.require_json(headers)
        return caller, body

    async def _activate(self, request: Request, caller: Caller, policies: PolicySet) -> list[str]:
        """The status of each partition's activation."""
        gateway = self._gateway
        payload = {
            "scope": policies.scope,
            "version": policies.version,
            "sha256": policies.sha256.hex(),
        }
        origin = gateway.origin(request, caller, keyed=False)

        async def on(partition: int) -> str:
            session = ids.governing_session(policies.scope, partition)
            submission = control(ACTIVATE_POLICY, session, payload, origin)
            answer = await gateway.submitter.submit(submission, DECISION_WAIT_S)
            if isinstance(answer, Acknowledged):
                return answer.status
            status: str = answer.document["status"]
            return status

        partitions = range(gateway.backend.publisher.partitions)
        return list(await asyncio.gather(*map(on, partitions)))


_GOVERNED = (*OF_TENANT, *WITH_BODY)
LIST = Operation(
    method="GET",
    path="/v1/policies",
    tag="policies",
    answers={200: ("The versions of the tenant's policies.", "PolicyPage")},
    problems=OF_TENANT,
)
PUT = Operation(
    method="PUT",
    path="/v1/policies",
    tag="policies",
    answers={200: ("They are written, and in force where it says so.", "PolicyVersion")},
    problems=(
        *APPENDING,
        *WITH_BODY,
        "policy_unsound",
        "policy_malformed",
        "policy_contended",
        "policy_superseded",
        "policy_not_found",
        "contract_violation",
        "tenant_not_found",
    ),
    body=(
        "application/json",
        "PolicyTexts",
        {"security_guard": "permit(principal, action, resource);", "note": "everybody"},
    ),
    metered=True,
)
CHECK = Operation(
    method="POST",
    path="/v1/policies/check",
    tag="policies",
    answers={200: ("What policy says.", "PolicyAnswer")},
    problems=(*_GOVERNED, "policy_malformed"),
    body=("application/json", "PolicyQuestion", {"intent_type": "content.ingest_file"}),
)
