"""What is promised, by area. See `requirements.py`."""

from tests.compat.requirement import CHECKLIST, CLIENTS, REFERENCE, RULES, SDK, SUITE, Requirement


def client(id: str, source: str, behaviour: str, *tests: str) -> Requirement:
    return Requirement(id=id, area="Clients", source=source, behaviour=behaviour, tests=tests)


def promise(id: str, area: str, source: str, behaviour: str, *tests: str, **more: str) -> Requirement:
    named = tuple(CHECKLIST + test for test in tests)
    return Requirement(id=id, area=area, source=source, behaviour=behaviour, tests=named, **more)


def elsewhere(id: str, area: str, source: str, behaviour: str, *tests: str) -> Requirement:
    """A promise whose tests stand with the feature."""
    return Requirement(id=id, area=area, source=source, behaviour=behaviour, tests=tests)


def case(id: str, behaviour: str, *tests: str) -> Requirement:
    named = tuple(RULES + test for test in tests)
    return Requirement(id=id, area="Open Responses", source=SUITE, behaviour=behaviour, tests=named)


PROMISED = (
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
    promise(
        "prefix",
        "Every endpoint",
        "OpenAI SDKs: `base_url`",
        "Paths are served with and without `/v1`.",
        "test_paths_work_with_and_without_the_prefix",
    ),
    promise(
        "errors",
        "Every endpoint",
        REFERENCE + "Error codes",
        "Every failure has `message`, `type`, `param`, `code`, OpenAI's status (400, not 422) and a request id.",
        "test_every_failure_has_openais_error_body",
        "test_a_missing_or_wrong_key_is_401_and_every_answer_has_a_request_id",
    ),
    promise(
        "unknown-fields",
        "Every endpoint",
        SDK,
        "Unknown request fields are ignored, so that newer clients work; wrong values of known fields are 400.",
        "test_unknown_fields_are_ignored_and_wrong_values_of_known_ones_are_not",
    ),
    promise(
        "unknown-model",
        "Every endpoint",
        "BerriAI/litellm#39457",
        "An unknown model is 404 `model_not_found`.",
        "test_an_unknown_model_is_404_model_not_found",
    ),
    promise(
        "no-second-run",
        "Every endpoint",
        SDK + ": `x-should-retry`",
        "A failure after tools have run tells the SDKs not to repeat the request.",
        "test_sdks_do_not_repeat_what_has_called_a_tool",
    ),
    Requirement(
        id="golden",
        area="Every endpoint",
        source="OpenAI's OpenAPI document 2.3.0",
        behaviour="Its request examples are answered as the types of the `openai` package say.",
        tests=("tests/compat/test_golden.py::test_an_example_is_answered_as_the_sdk_types_say",),
    ),
    Requirement(
        id="golden-rest",
        area="Every endpoint",
        source="OpenAI's OpenAPI document 2.3.0",
        behaviour="An example of what is not promised here gets an answer or an error that the SDKs can read.",
        tests=(
            "tests/compat/test_golden.py::"
            "test_an_example_of_what_is_not_promised_gets_an_answer_or_an_error_that_sdks_read",
        ),
    ),
    Requirement(
        id="openapi",
        area="Every endpoint",
        source="OpenAPI 3.1",
        behaviour="`/openapi.json` describes what is served, without a key.",
        tests=("tests/compat/test_openapi.py::test_the_document_needs_no_key_and_lists_what_is_served",),
    ),
    Requirement(
        id="openapi-holds",
        area="Every endpoint",
        source="Schemathesis 4",
        behaviour="No request that Schemathesis makes of the document breaks the gateway or gets what it does not say.",
        tests=("tests/compat/test_openapi.py::test_no_request_breaks_the_gateway_or_the_document",),
    ),
    promise(
        "one-identity",
        "Responses",
        REFERENCE + "Responses, streaming",
        "Ids of responses, items and calls are the same from `response.created` to what is read back.",
        "test_an_id_is_the_same_from_the_first_event_to_what_is_read_back",
    ),
    promise(
        "stored-before-told",
        "Responses",
        REFERENCE + "Responses, `store`",
        "What is told as completed can be read and continued at that moment.",
        "test_what_is_told_as_completed_is_stored_already",
    ),
    promise(
        "stream-order",
        "Responses",
        REFERENCE + "Responses, streaming",
        "Events are numbered from 0 without gaps; items are added, filled and closed in order; `[DONE]` is last.",
        "test_a_stream_is_numbered_and_every_item_is_opened_filled_and_closed",
    ),
    promise(
        "one-write",
        "Responses",
        SUITE + ": its parser",
        "An event is never split over two writes.",
        "test_no_event_is_split_over_two_writes",
    ),
    promise(
        "response-keys",
        "Responses",
        SUITE + ": ResponseResource",
        "All 31 keys, numbers where numbers belong, usage in five parts.",
        "test_a_response_has_all_31_keys_with_numbers_where_numbers_belong",
    ),
    promise(
        "replay-shapes",
        "Responses",
        REFERENCE + "Responses, `input`",
        "Items come back in every shape: without type, id, status, with foreign ids, calls and their outputs.",
        "test_an_item_may_come_back_in_any_shape",
        "test_parallel_calls_come_back_with_their_outputs_behind_them",
    ),
    promise(
        "item-reference",
        "Responses",
        REFERENCE + "Responses, `item_reference`",
        "An item that is stored may be named instead of sent; an unknown one is 404.",
        "test_an_item_may_be_named_instead_of_sent",
    ),
    promise(
        "continue-any",
        "Responses",
        REFERENCE + "Conversation state",
        "A turn is continued at once, whatever kind of item ends it, streamed or not.",
        "test_a_turn_is_continued_at_once_whatever_stands_at_its_end",
    ),
    promise(
        "instructions-once",
        "Responses",
        REFERENCE + "Responses, `instructions`",
        "`instructions` are not inherited by the next turn.",
        "test_instructions_are_not_inherited",
    ),
    promise(
        "one-parent",
        "Responses",
        REFERENCE + "Responses, `conversation`",
        "`previous_response_id` and `conversation` together are 400.",
        "test_a_response_continues_a_response_or_a_conversation_but_not_both",
    ),
    elsewhere(
        "background",
        "Responses",
        REFERENCE + "Background mode",
        "Queued at once; goes on without its client and after a crash; can be cancelled and read again.",
        "tests/apis/test_background.py::test_a_background_response_is_queued_at_once_and_completes_without_its_client",
        "tests/apis/test_background.py::test_the_stream_says_queued_and_can_be_read_again_byte_for_byte",
        "tests/apis/test_background.py::test_a_reader_that_comes_back_while_it_runs_misses_nothing",
        "tests/apis/test_background.py::test_the_sdks_own_helper_follows_a_response_by_its_id",
        "tests/apis/test_background.py::test_cancelling_stops_it_and_may_be_said_twice",
        "tests/apis/test_background.py::test_it_survives_a_kill_and_its_readers_are_told_everything",
    ),
    elsewhere(
        "input-items",
        "Responses",
        REFERENCE + "Responses, list input items",
        "What a response was asked with is listed in pages.",
        "tests/apis/test_background.py::test_input_items_are_listed_in_pages_that_end",
    ),
    elsewhere(
        "websocket",
        "Responses",
        SUITE + ": 7 cases; " + SDK + ": `responses.connect()`",
        "`/v1/responses` over a WebSocket: the events of the stream, continuations, warm-up, several streams, errors.",
        "tests/apis/test_socket.py::test_a_response_is_the_stream_as_messages",
        "tests/apis/test_socket.py::test_responses_follow_one_another_and_continue_what_is_not_stored",
        "tests/apis/test_socket.py::test_a_warm_up_asks_no_model_and_can_be_continued",
        "tests/apis/test_socket.py::test_a_continuation_that_fails_forgets_what_it_continued",
        "tests/apis/test_socket.py::test_streams_of_one_connection_go_on_side_by_side",
        "tests/apis/test_socket.py::test_what_is_wrong_is_said_and_the_connection_stays",
        "tests/apis/test_socket.py::test_the_official_client_talks_over_it",
    ),
    elsewhere(
        "structured-output",
        "Responses",
        REFERENCE + "Structured outputs",
        "A strict schema holds: an answer that does not fit is asked for again, and a stream tells only one that fits.",
        "tests/apis/test_structured_output.py::test_an_answer_that_does_not_fit_is_asked_for_again",
        "tests/apis/test_structured_output.py::test_a_stream_tells_only_the_answer_that_fits",
    ),
    elsewhere(
        "tool-choice",
        "Responses",
        REFERENCE + "Responses, `tool_choice`",
        "A function, a server's tool or one of the allowed tools is chosen.",
        "tests/apis/test_tool_choice.py::test_a_function_is_chosen_by_its_name",
        "tests/apis/test_tool_choice.py::test_one_tool_of_a_server_must_be_called_once",
        "tests/apis/test_tool_choice.py::test_only_the_allowed_tools_are_offered_in_the_whole_run",
    ),
    elsewhere(
        "include",
        "Responses",
        REFERENCE + "Responses, `include`; ogx-ai/ogx#4440, #6242",
        "`file_search` shows results only where `include` asks and cites files; reasoning comes back sealed.",
        "tests/apis/test_file_search.py::test_results_are_shown_only_to_who_asks_for_them",
        "tests/apis/test_file_search.py::test_a_search_is_an_item_with_its_query_and_the_answer_cites_the_file",
        "tests/apis/test_encrypted_reasoning.py::test_the_providers_state_travels_with_the_client_and_comes_back",
    ),
    elsewhere(
        "prompts",
        "Responses",
        REFERENCE + "Prompts",
        "`prompt: {id, version, variables}` names an agent and fills its variables.",
        "tests/apis/test_prompts.py::test_a_prompt_names_an_agent_and_fills_its_variables",
        "tests/apis/test_prompts.py::test_a_prompt_that_cannot_be_filled_is_refused_with_its_place",
    ),
    elsewhere(
        "custom-tools",
        "Responses",
        REFERENCE + "Custom tools",
        "`custom` tools are called with text and streamed in events of their own.",
        "tests/apis/test_custom_tools.py::test_a_custom_tool_is_called_with_text_and_answered",
        "tests/apis/test_custom_tools.py::test_its_input_is_streamed_in_its_own_events",
    ),
    promise(
        "conversation-locked",
        "Conversations",
        "paulgmiller/careme#379",
        "A second turn of a busy conversation is 400 `conversation_locked` with OpenAI's words.",
        "test_a_busy_conversation_is_openais_error_for_who_asks_for_it",
        divergence="By default the second turn waits. The header `X-Homeport-When-Busy: reject` asks for the error.",
        short="a busy conversation makes the next turn wait unless a header asks for the error",
    ),
    promise(
        "pages",
        "Conversations",
        REFERENCE + "Conversations, list items",
        "Pages are 20 items, newest first, and honour `after`, `limit` and `order`; `has_more` is true.",
        "test_pages_are_20_newest_first_and_honour_after_limit_and_order",
    ),
    promise(
        "chat-usage-chunk",
        "Chat",
        REFERENCE + "Chat, `stream_options`",
        "`include_usage` gives one last chunk without choices; one id, one role, one finish reason a stream.",
        "test_usage_comes_in_one_last_chunk_without_choices_where_it_is_asked_for",
    ),
    promise(
        "chat-call-index",
        "Chat",
        REFERENCE + "Chat, streaming",
        "Parallel calls have an `index` each; id, type and name come once.",
        "test_parallel_calls_of_a_stream_have_an_index_each",
    ),
    elsewhere(
        "embeddings",
        "Embeddings and legacy completions",
        REFERENCE + "Embeddings; " + SDK + " ask for base64",
        "Texts and tokens become vectors, as numbers or as base64 of little-endian float32.",
        "tests/apis/test_embeddings.py::test_the_bundled_model_needs_no_key",
        "tests/apis/test_embeddings.py::test_base64_holds_the_same_numbers_as_little_endian_float32",
        "tests/apis/test_embeddings.py::test_tokens_are_read_as_the_text_they_stand_for",
    ),
    elsewhere(
        "completions",
        "Embeddings and legacy completions",
        REFERENCE + "Completions (legacy)",
        "Prompts are continued, each with `n` choices, streamed and not.",
        "tests/apis/test_completions.py::test_each_prompt_has_n_choices_in_order",
        "tests/apis/test_completions.py::test_a_stream_adds_up_to_the_same_choices",
        "tests/apis/test_completions.py::test_the_official_client_reads_the_stream",
    ),
    elsewhere(
        "stored-completions",
        "Chat",
        REFERENCE + "Chat, stored completions",
        "`store: true`; what was stored is listed, read, changed and deleted.",
        "tests/apis/test_chat_stored.py::test_a_stored_completion_is_retrieved_changed_and_deleted",
        "tests/apis/test_chat_stored.py::test_lists_are_paged_and_filtered",
    ),
    elsewhere(
        "chat-choices",
        "Chat",
        REFERENCE + "Chat, `n`, `logprobs`",
        "Several choices, streamed side by side; probabilities of tokens.",
        "tests/apis/test_chat_choices.py::test_every_choice_is_an_answer_of_its_own_and_the_prompt_counts_once",
        "tests/apis/test_chat_choices.py::test_choices_stream_side_by_side_under_one_id",
        "tests/apis/test_chat_choices.py::test_probabilities_of_tokens_come_through_where_they_are_asked_for",
    ),
    case(
        "open-responses-text",
        "basic-response, system-prompt, image-input, multi-turn",
        "test_case",
    ),
    case("open-responses-stream", "streaming-response", "test_case_streaming_response"),
    case(
        "open-responses-tools",
        "tool-calling, tool-calling-streaming",
        "test_case_tool_calling",
        "test_case_tool_calling_streaming",
    ),
)
