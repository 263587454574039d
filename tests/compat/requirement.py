"""An entry of the manifest, and the names that its entries share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """`divergence` is what is known to differ, empty if nothing is, and `short` the same in a few words.

    `unserved` are operations (`POST /v1/x`) that the gateway does not have; a test fails when it gets one.
    """

    id: str
    area: str
    source: str
    behaviour: str
    tests: tuple[str, ...] = ()
    divergence: str = ""
    short: str = ""
    unserved: tuple[str, ...] = ()


REFERENCE = "OpenAI reference: "
SDK = "openai 2.54.0 and 3.52.0"
SUITE = "Open Responses compliance suite"
CLIENTS = "tests/clients/test_other_clients.py::"
CHECKLIST = "tests/compat/test_checklist.py::"
REPORTS = "tests/compat/test_reported_bugs.py::"
RULES = "tests/compat/test_open_responses.py::"
