"""What is known to differ from OpenAI's API, beside what stands with a promise. See `requirements.py`."""

from tests.compat.requirement import REFERENCE, Requirement


def differs(id: str, source: str, behaviour: str, divergence: str, short: str, *tests: str) -> Requirement:
    """`behaviour` is what OpenAI's API does, `divergence` what this one does; the tests show the latter."""
    area = "Differences from OpenAI's API"
    return Requirement(
        id=id, area=area, source=source, behaviour=behaviour, tests=tests, divergence=divergence, short=short
    )


DIFFERENCES = (
    differs(
        "rate-limit-headers",
        REFERENCE + "Debugging requests",
        "Answers have `x-ratelimit-*` and `openai-organization`.",
        "Never sent: Homeport has no limits of rate of its own, and no organizations.",
        "no `x-ratelimit-*` and `openai-organization` headers",
        "tests/compat/test_checklist_paths.py::test_headers_of_limits_and_organizations_are_not_made_up",
    ),
    differs(
        "compacting-event",
        "openai 3.52.0: `response.compaction.compacting`",
        "A stream tells that it compacts.",
        "Not sent: openai 2.x with strict validation breaks off at a type it does not know. See decision 0018.",
        "`response.compaction.compacting` is not sent",
        "tests/apis/test_context_management.py::test_a_stream_begins_with_the_compaction_and_later_turns_go_on_from_it",
    ),
    differs(
        "compacted-messages",
        REFERENCE + "Responses, compact",
        "`output` of a compaction holds the user's messages and the compaction.",
        "The same, as OpenAI documents it; but the types of the `openai` package have no such messages, so a client "
        "with strict validation refuses them, as it refuses OpenAI's.",
        "strictly validating clients refuse the user's messages in a compacted history",
        "tests/clients/test_long_conversations.py::test_the_official_client_counts_compacts_and_goes_on",
    ),
    differs(
        "file-search-options",
        REFERENCE + "File search",
        "`file_search` takes `filters` and a `score_threshold`.",
        "`filters` and a `score_threshold` above 0 are refused with 400, and not ignored.",
        "`file_search` without `filters` and `score_threshold`",
        "tests/apis/test_file_search.py::test_what_a_search_cannot_do_is_refused_and_not_ignored",
    ),
    differs(
        "file-ids",
        REFERENCE + "File inputs",
        "`input_image` and `input_file` may name a `file_id`.",
        "Refused with 400: there are no Files. Send the content, or a link.",
        "no `file_id` in the input of a response",
        "tests/apis/test_input_items.py::test_what_cannot_be_had_here_is_refused_with_its_place",
    ),
    differs(
        "steering-conversations",
        "openai 3.52.0: `response.steer`",
        "A response under way may be steered.",
        "Not one in a conversation or with `context_management`: `steering_not_supported`.",
        "no steering in conversations and with `context_management`",
        "tests/apis/test_steering.py::test_what_cannot_be_steered_is_said",
    ),
    differs(
        "strict-streams",
        REFERENCE + "Structured outputs, streaming",
        "An answer of a strict schema is streamed token by token.",
        "It is told in one piece, once it was checked and fits: it could not be taken back.",
        "a strictly checked answer is streamed in one piece",
        "tests/apis/test_structured_output.py::test_a_stream_tells_only_the_answer_that_fits",
    ),
    differs(
        "client-tools",
        REFERENCE + "Tools: apply patch, shell, computer use, tool search",
        "The client runs `apply_patch`, `shell`, `local_shell`, `computer`; `namespace` and `tool_search` group tools.",
        "Refused with 400 by name.",
        "`apply_patch`, `shell`, `local_shell`, `computer`, `namespace` and `tool_search` are refused",
        "tests/apis/test_request_fields.py::test_a_tool_that_is_not_served_is_refused_by_its_name",
    ),
    differs(
        "prompt-versions",
        REFERENCE + "Prompts",
        "`version` names any version of a prompt.",
        "It is the agent's label `prompt_version`, or the current digest of its document or seven characters of it: "
        "earlier versions are not kept. Any other is 404.",
        "a prompt's `version` is a label or the current digest only",
        "tests/apis/test_prompts.py::test_a_version_is_the_documents_digest_or_its_beginning",
        "tests/apis/test_prompts.py::test_a_prompt_that_cannot_be_filled_is_refused_with_its_place",
    ),
    differs(
        "chat-refused",
        REFERENCE + "Chat",
        "Audio in and out, `web_search_options`.",
        "Refused with 400 for agents; a raw model's provider is passed them.",
        "chat completions of agents without audio and `web_search_options`",
        "tests/apis/test_chat_fields.py::test_a_wrong_value_is_a_400_that_names_its_field",
        "tests/providers/test_relay.py::test_the_vendor_gets_every_field_with_its_own_name_for_the_model",
    ),
    differs(
        "websocket-background",
        REFERENCE + "WebSocket mode",
        "`response.create` has the fields of a request but for `stream`, `stream_options` and `background`.",
        "`background: true` over a WebSocket is refused, not ignored.",
        "responses over a WebSocket are never in the background",
        "tests/apis/test_socket.py::test_what_is_wrong_is_said_and_the_connection_stays",
    ),
    differs(
        "without-effect",
        REFERENCE + "Responses and Chat",
        "`prompt_cache_options`, `stream_options.include_obfuscation`, `moderation`, `access_programs` and `image` "
        "have effects at OpenAI.",
        "They are checked and have none here, but that a raw model's provider is passed them in chat.",
        "`prompt_cache_options`, moderation, access programs and obfuscation have no effect",
        "tests/apis/test_request_fields.py::test_fields_that_nobody_knows_yet_are_ignored",
        "tests/apis/test_chat_fields.py::test_fields_of_openais_are_taken_and_what_is_for_its_models_is_handed_on",
    ),
)
