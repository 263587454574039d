"""The manifest of compatibility: what an OpenAI client may rely on, where that comes from, which tests show it.

`docs/compatibility.md` and the table in `README.md` are written from it by `scripts/compatibility.py`.
`test_requirements.py` checks that each test named here exists, and that each test of `tests/compat` and `tests/clients`
bears the ids of the promises that name it (`@pytest.mark.requirement(id)`), at least one.
"""

from tests.compat.completions import COMPLETIONS
from tests.compat.conversing import CONVERSING
from tests.compat.differences import DIFFERENCES
from tests.compat.features import FEATURES
from tests.compat.long import LONG
from tests.compat.promised import PROMISED
from tests.compat.reported import REPORTED
from tests.compat.requirement import REFERENCE, Requirement
from tests.compat.wires import WIRES
from tests.compat.with_clients import WITH_CLIENTS


def missing(id: str, source: str, behaviour: str, short: str, *unserved: str) -> Requirement:
    """What is not there yet, or only in part."""
    why = "Not served yet." if unserved else short[0].upper() + short[1:] + "."
    return Requirement(
        id=id,
        area="Not served yet",
        source=source,
        behaviour=behaviour,
        divergence=why,
        short=short,
        unserved=unserved,
    )


UNSERVED = (
    missing(
        "hosted-tools",
        REFERENCE + "Tools",
        "`web_search`, `code_interpreter` and `image_generation` in `tools`.",
        "tools that OpenAI runs are refused with 400, but for `file_search` and `mcp`",
    ),
    missing(
        "unknown-store",
        REFERENCE + "File search",
        "A vector store that is not there is refused before the run.",
        "a `file_search` in a knowledge base that is not there fails as an item, and the model is told",
    ),
    missing(
        "mcp-call-error",
        "openai 2.54.0: a string; 3.52.0: an object",
        "`mcp_call.error` tells why a call failed.",
        "a failed `mcp_call` tells why in `output`, because the two clients disagree on `error`",
    ),
    missing(
        "assistants",
        REFERENCE + "Assistants (shut down at OpenAI in August 2026); litellm#11977, astra-assistants-api#69",
        "Assistants, threads, messages, runs and steps, with their two lock messages and their poll helpers.",
        "the Assistants API",
        "POST /v1/assistants",
        "POST /v1/threads",
    ),
    missing(
        "files",
        REFERENCE + "Files, Uploads, Vector stores",
        "Files, uploads, vector stores, `file_search` with filters and citations; ogx-ai/ogx#6242, litellm#14323.",
        "files, uploads, vector stores",
        "POST /v1/files",
        "POST /v1/uploads",
        "POST /v1/vector_stores",
    ),
    missing(
        "agents-api",
        "openai 3.52.0: `beta.agents`",
        "`/v1/agents` and `/v1/agents/sessions`.",
        "the Agents API",
        "POST /v1/agents",
    ),
)

ADDED = (*FEATURES, *CONVERSING)
REQUIREMENTS: tuple[Requirement, ...] = (
    *WITH_CLIENTS, *PROMISED, *COMPLETIONS, *LONG, *WIRES, *ADDED, *REPORTED, *DIFFERENCES, *UNSERVED
)  # fmt: skip
