"""Nothing is served that no promise speaks of, and no promise is named that is not there."""

import pytest

from tests.compat.index import FIELDS, LINES, OPERATIONS
from tests.compat.requirements import REQUIREMENTS

pytestmark = pytest.mark.anyio


@pytest.fixture
async def document(start_gateway):
    async with start_gateway() as gateway:
        return (await gateway.http.get("/openapi.json")).json()


@pytest.mark.requirement("openapi")
async def test_every_operation_that_is_served_is_promised_and_no_other(document):
    served = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert served == set(OPERATIONS)


@pytest.mark.requirement("openapi")
async def test_every_field_of_every_body_is_promised_and_no_other(document):
    bodies = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for methods in document["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
    }
    schemas = document["components"]["schemas"]
    assert {body: set(schemas[body]["properties"]) for body in bodies} == {
        body: set(fields) for body, fields in FIELDS.items()
    }


@pytest.mark.requirement("openapi")
def test_what_is_said_of_them_is_there():
    known = {one.id for one in REQUIREMENTS}
    named = [*LINES.values(), *OPERATIONS.values(), *(ids for fields in FIELDS.values() for ids in fields.values())]
    assert [ids for ids in named if not ids or not known.issuperset(ids.split())] == []
