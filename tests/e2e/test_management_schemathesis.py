"""The running gateway keeps what its own description promises: whatever is asked, no defect and no undescribed answer.

Requests are made from the description, valid ones and broken ones, the same in every run. Where an operation names a
tenant and a device, most requests name ones that exist. Left out is one check: that whatever fits the schemas is taken,
because rules between members, and what is on record, stand in no schema.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.core.parameters import ParameterLocation

from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import ManagementClient, operator_of
from tuhono.operating import describe_api

EXAMPLES_MAX = 10
ANSWER_MAX_S = 30.0
SAME_BODY_ELSEWHERE = [  # hundreds of requests each, for all that is in the largest bodies
    "POST /v1/tenants",
    "PUT /v1/tenants/{tenantId}",
    "POST /v1/devices/{tenantId}",
    "PUT /v1/devices/{tenantId}/{deviceId}",
    "POST /tuhono/v1/registrations/{tenantId}",
    "POST /tuhono/v1/import/{tenantId}",
]

api = schemathesis.openapi.from_dict(
    json.loads(describe_api()),
    config=schemathesis.Config.from_dict(
        {
            "seed": 1,
            "generation": {"deterministic": True, "max-examples": EXAMPLES_MAX, "database": "none"},
            "checks": {
                "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 409, 412, 413]},
                "positive_data_acceptance": {"enabled": False},
                "ignored_auth": {"enabled": False},  # asked below, once an operation
            },
            "operations": [
                {"include-name": SAME_BODY_ELSEWHERE, "phases": {"coverage": {"enabled": False}}},
                # Of lines it tells one by one which were refused.
                {
                    "include-name": "POST /tuhono/v1/import/{tenantId}",
                    "checks": {"negative_data_rejection": {"enabled": False}},
                },
            ],
        }
    ),
)

schemathesis.serializer.alias("application/x-ndjson", "application/json")  # a document is one line of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """A gateway with somebody who may do everything, and things that exist."""

    session: requests.Session
    url: str
    ca_file: str
    known: dict[str, str]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("described")) as started:
        yield started


@pytest.fixture(scope="module")
def operator(gateway: RunningGateway) -> Iterator[ManagementClient]:
    with operator_of(gateway) as client:
        yield client


@pytest.fixture
def premises(gateway: RunningGateway, operator: ManagementClient) -> Iterator[Premises]:
    tenant_id = operator.new_tenant()
    with requests.Session() as session:
        session.trust_env = False
        yield Premises(
            session=session,
            url=f"https://localhost:{operator.port}",
            ca_file=str(gateway.server_ca),
            known={"tenantId": tenant_id, "deviceId": operator.new_device(tenant_id)},
        )


@api.parametrize()
@settings(max_examples=EXAMPLES_MAX, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_what_is_described_is_so(case: Any, premises: Premises, operator: ManagementClient) -> None:
    path = case.meta.components.get(ParameterLocation.PATH)
    if path is not None and path.mode is schemathesis.GenerationMode.POSITIVE:
        case.path_parameters |= {name: known for name, known in premises.known.items() if name in case.path_parameters}
    case.call_and_validate(
        base_url=premises.url,
        session=premises.session,
        headers={"Authorization": operator.authorization},
        verify=premises.ca_file,
        timeout=ANSWER_MAX_S,
    )


def test_every_operation_asks_for_credentials_unless_it_is_described_otherwise(operator: ManagementClient) -> None:
    document = json.loads(describe_api())
    operations = [(path, *one) for path, methods in document["paths"].items() for one in methods.items()]
    assert len(operations) > 20
    for path, method, described in operations:
        if described["security"]:
            asked = path.format_map(dict.fromkeys(re.findall("{(.*?)}", path), "x"))
            answer = operator.ask(method.upper(), asked, authorization=None)
            assert answer.status == 401, (method, path)


def test_the_gateway_serves_the_description_that_is_tested(operator: ManagementClient) -> None:
    assert operator.get("/openapi.json").json == json.loads(describe_api())
