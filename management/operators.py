"""Operators and their API keys over the management API, below /tuhono/v1.

Parses, asks tenant/operator_administration.py, and spells what it says; whom the caller may see and touch is decided
there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from dialects.hono.asked import Asked
from dialects.hono.conventions import CHANGED, DELETED, IF_MATCH, changed, etag, if_match, require_body
from dialects.hono.shapes.values import decode
from kernel.exchange import Answer, Caller, Exchange, Need, Parameter, Reply, Route
from management.operator_shapes import (
    KeyMade,
    Keys,
    KeyToCreate,
    Me,
    OperatorPage,
    OperatorShown,
    OperatorToChange,
    OperatorToCreate,
    change_of,
    key_made,
    key_shown,
    operator_shown,
    reach_of,
)
from management.querying import PAGE_SIZE, page_size
from tenant.authentication import ProvenOperator
from tenant.operator_administration import OperatorAdministration
from tenant.operators import Role

ROOT = "/tuhono/v1/operators"
ONE = ROOT + "/{name}"
KEYS = ONE + "/keys"
AFTER = Parameter(name="after", type=str, says="The name behind which the page begins: `next` of the page before.")
LISTING = (PAGE_SIZE, AFTER)


class OperatorRoutes:
    """What administrators do to operators, and what an operator may know of itself."""

    def __init__(self, administration: OperatorAdministration) -> None:
        self._operators = administration

    def routes(self) -> Sequence[Route]:
        shown = Answer(says="The operator.", type=OperatorShown, headers=("ETag",))
        return [
            Route(
                method="GET",
                path="/tuhono/v1/me",
                handler=self._me,
                need=Need.READ,
                tag="operators",
                summary="Who am I",
                answers={200: Answer(says="Who is asking.", type=Me)},
            ),
            self._route("GET", ROOT, self._list, "List operators", {200: Answer(says="A page.", type=OperatorPage)},
                        parameters=LISTING),
            self._route("POST", ROOT, self._create, "Create an operator",
                        {201: Answer(says="Created.", type=OperatorShown, headers=("Location", "ETag"))},
                        body=OperatorToCreate, body_required=True, refusals=(409, 413)),
            self._route("GET", ONE, self._get, "Read an operator", {200: shown}),
            self._route("PATCH", ONE, self._change, "Change an operator",
                        {204: CHANGED},
                        body=OperatorToChange, body_required=True, refusals=(409, 412, 413), parameters=(IF_MATCH,)),
            self._route("DELETE", ONE, self._delete, "Delete an operator and its API keys",
                        {204: DELETED}, refusals=(409, 412), parameters=(IF_MATCH,)),
            self._route("GET", KEYS, self._list_keys, "List an operator's API keys",
                        {200: Answer(says="The keys, spent ones included.", type=Keys)}),
            self._route("POST", KEYS, self._create_key, "Create an API key",
                        {201: Answer(says="Created. The key is shown now and never again.", type=KeyMade)},
                        body=KeyToCreate, refusals=(413,)),
            self._route("DELETE", KEYS + "/{keyId}", self._revoke_key, "Revoke an API key",
                        {204: Answer(says="Revoked: refused from the next request on.")}),
        ]  # fmt: skip

    def _route(
        self, method: str, path: str, handler: Any, summary: str, answers: Mapping[int, Answer], **more: Any
    ) -> Route:
        return Route(
            method=method,
            path=path,
            handler=handler,
            need=Need.ADMINISTER,
            tag="operators",
            summary=summary,
            answers=answers,
            **more,
        )

    def _me(self, exchange: Exchange) -> Reply:
        caller = exchange.caller
        assert isinstance(caller, ProvenOperator)
        me = Me(
            name=caller.name,
            role=caller.operator.role.value,
            tenants=UNSET if caller.tenants is None else sorted(caller.tenants),
            proven_by="token" if caller.by_token else "password" if caller.key_id is None else "api-key",
        )
        return Reply(body=me)

    def _list(self, exchange: Exchange) -> Reply:
        asked = Asked(exchange, LISTING)
        size = page_size(asked)
        found = self._operators.page(_caller(exchange), after=asked.text("after"), limit=size + 1)
        more = len(found) > size
        page = OperatorPage(
            result=[operator_shown(operator) for operator in found[:size]],
            next=found[size - 1].name if more else UNSET,
        )
        return Reply(body=page)

    def _create(self, exchange: Exchange) -> Reply:
        body = decode(OperatorToCreate, require_body(exchange))
        made = self._operators.create(
            _caller(exchange),
            body.name,
            role=Role(body.role),
            tenants=reach_of(body.tenants),
            enabled=body.enabled,
            password=None if body.password is UNSET else body.password,
            remote=exchange.remote,
        )
        headers = {"Location": f"{ROOT}/{made.name}", **etag(made.version)}
        return Reply(status=201, body=operator_shown(made), headers=headers)

    def _get(self, exchange: Exchange) -> Reply:
        found = self._operators.get(_caller(exchange), exchange.path["name"])
        return Reply(body=operator_shown(found), headers=etag(found.version))

    def _change(self, exchange: Exchange) -> Reply:
        change = change_of(decode(OperatorToChange, require_body(exchange)))
        after = self._operators.change(
            _caller(exchange),
            exchange.path["name"],
            change,
            expected_version=if_match(exchange),
            remote=exchange.remote,
        )
        return changed(after.version)

    def _delete(self, exchange: Exchange) -> Reply:
        self._operators.delete(
            _caller(exchange), exchange.path["name"], expected_version=if_match(exchange), remote=exchange.remote
        )
        return Reply(status=204)

    def _list_keys(self, exchange: Exchange) -> Reply:
        keys = self._operators.keys(_caller(exchange), exchange.path["name"])
        return Reply(body=Keys(result=[key_shown(key) for key in keys]))

    def _create_key(self, exchange: Exchange) -> Reply:
        body = decode(KeyToCreate, exchange.body) if exchange.body else KeyToCreate()
        key, secret = self._operators.add_key(
            _caller(exchange),
            exchange.path["name"],
            key_name=body.name,
            days=None if body.days is UNSET else body.days,
            remote=exchange.remote,
        )
        return Reply(status=201, body=key_made(key, secret), headers={"Cache-Control": "no-store"})

    def _revoke_key(self, exchange: Exchange) -> Reply:
        self._operators.revoke_key(
            _caller(exchange), exchange.path["name"], exchange.path["keyId"], remote=exchange.remote
        )
        return Reply(status=204)


def _caller(exchange: Exchange) -> Caller:
    assert exchange.caller is not None
    return exchange.caller
