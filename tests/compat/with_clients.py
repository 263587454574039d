"""What is promised of the clients that people use. See `requirements.py`."""

from tests.compat.requirement import CLIENTS, SDK, Requirement


def client(id: str, source: str, behaviour: str, *tests: str) -> Requirement:
    return Requirement(id=id, area="Clients", source=source, behaviour=behaviour, tests=tests)


WITH_CLIENTS = (
    client(
        "client-openai",
        SDK,
        "The official Python clients, validating strictly, find nothing amiss.",
        "tests/clients/test_openai_clients.py::test_the_official_client_finds_nothing_amiss",
    ),
    client(
        "client-vectors",
        SDK,
        "They read vectors, legacy completions and models.",
        "tests/clients/test_openai_clients.py::test_vectors_completions_and_models_are_as_the_client_has_them",
    ),
    client(
        "client-helpers",
        SDK,
        "Their helpers work: `stream()`, `parse()`, typed tools, auto-pagination, typed errors.",
        CLIENTS + "test_the_official_clients_helpers",
    ),
    client(
        "client-node",
        "openai-node 7.55.0",
        "Text, streams, `runTools`, zod formats, history, pages and errors.",
        CLIENTS + "test_openai_node",
    ),
    client(
        "client-agents",
        "openai-agents 0.24.0",
        "Both models: streams, tools, hand-offs, typed output, history, previous responses, conversations, errors.",
        CLIENTS + "test_openai_agents_by_both_of_its_models",
    ),
    client(
        "client-langchain",
        "langchain-openai 1.7.3",
        "`ChatOpenAI` by both APIs: streams, tools, structured output, history, previous responses, errors.",
        CLIENTS + "test_langchains_chat_model_by_both_of_its_apis",
    ),
    client(
        "client-ai-sdk",
        "ai 7.0.173, @ai-sdk/openai 4.0.118",
        "By chat and by responses: streams, tool loops, typed output, history by `item_reference`, errors.",
        CLIENTS + "test_the_vercel_ai_sdk_by_both_of_its_apis",
    ),
    Requirement(
        id="client-mcp",
        area="Clients",
        source="openai 2.54.0 and 3.52.0, openai-agents 0.24.0, langchain-openai 1.7.3",
        behaviour="The tool `mcp` with a `server_url`: lists, calls, approvals, errors; `HostedMCPTool`, `bind_tools`.",
        tests=(
            "tests/clients/test_mcp_servers.py::test_the_official_clients",
            "tests/clients/test_mcp_servers.py::test_the_hosted_tool_of_openai_agents",
            "tests/clients/test_mcp_servers.py::test_langchain",
        ),
        divergence="Public https addresses only, unless the settings list a host; a `connector_id` is refused.",
        short="MCP servers of clients at public https addresses only, unless listed; no connectors",
    ),
)
