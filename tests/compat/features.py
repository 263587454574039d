"""What is promised of approvals, context, raw models and the fields of a response. See `requirements.py`."""

from tests.compat.promised import elsewhere
from tests.compat.requirement import REFERENCE, Requirement

EXTENSION = "Homeport, in OpenAI's style: "
AGENT = "Homeport: `context` of an agent document"
KEPT = "tests/memory/test_kept.py::"
SUMMARY = "tests/memory/test_summary.py::"
APPROVALS = "tests/apis/test_approvals.py::"
SAID = "tests/apis/test_chat_approvals.py::"
ANSWERED = "tests/apis/test_approvals_api.py::"
FIELDS = "tests/apis/test_request_fields.py::"
RESPONSES = "tests/apis/test_responses.py::"
SOCKET = "tests/apis/test_socket.py::"
STEERING = "tests/apis/test_steering.py::"
LINKED = "tests/providers/test_linked.py::"
PATHS = "tests/compat/test_checklist_paths.py::"
RELAYED = "tests/providers/test_relay_responses.py::"
BROKEN = "tests/providers/test_relay_responses_faults.py::"

FEATURES = (
    elsewhere(
        "approvals",
        "Approvals",
        REFERENCE + "Remote MCP, `require_approval`",
        "A call that needs a person waits as `mcp_approval_request`; `mcp_approval_response` lets it run once or "
        "refuses it, with `previous_response_id`, in a conversation, or by sending the request back.",
        APPROVALS + "test_an_approved_call_runs_and_a_response_shows_it",
        APPROVALS + "test_an_approval_is_used_once_however_often_and_wherever_it_is_sent",
        "tests/apis/test_approval_replays.py::test_a_client_that_stores_nothing_approves_by_sending_the_request_back",
    ),
    elsewhere(
        "approvals-chat",
        "Approvals",
        "Homeport: chat completions have no items for it",
        "A chat completion asks in words and with a code; `approve <code>` or `deny <code>` as the user's next message "
        "answers, and anything else is a no.",
        SAID + "test_an_approval_in_words_runs_the_call_that_was_shown",
        SAID + "test_anything_else_is_a_no_and_the_model_is_told",
        SAID + "test_a_code_is_good_for_one_run_of_one_call_of_one_owner",
    ),
    elsewhere(
        "approvals-list",
        "Approvals",
        EXTENSION + "`/v1/approvals`",
        "Calls that wait are listed and read; `approve` and `reason` answer one, and its run goes on as a response.",
        ANSWERED + "test_what_waits_is_listed_and_goes_on_when_it_is_approved",
        ANSWERED + "test_a_denial_is_told_to_the_model",
        ANSWERED + "test_a_mistake_is_answered_as_openai_does",
    ),
    elsewhere(
        "raw-models",
        "Models",
        EXTENSION + "`models` of the settings",
        "A model that the settings list, by name or wildcard, answers without an agent; what is asked of "
        "it is passed on to a provider of the same wire with every field, and the answer comes back byte for byte.",
        "tests/providers/test_relay.py::test_the_vendor_gets_every_field_with_its_own_name_for_the_model",
        "tests/providers/test_relay.py::test_a_stream_is_the_vendors_bytes_from_its_first_data_on",
        RELAYED + "test_the_vendor_gets_every_field_with_its_own_name_for_the_model",
        RELAYED + "test_a_stream_is_the_vendors_bytes_from_its_first_data_to_its_last",
        "tests/apis/test_raw_models.py::test_a_wildcard_lets_nobody_read_files_of_the_host",
    ),
    Requirement(
        id="raw-models-responses",
        area="Responses",
        source=REFERENCE + "Responses; other vendors' extensions of them",
        behaviour="A raw model at a provider of Responses gets every field. What its answer says may come back in any "
        "later request, and an answer that breaks off never looks whole.",
        tests=(
            RELAYED + "test_the_vendor_gets_every_field_with_its_own_name_for_the_model",
            RELAYED + "test_the_official_client_reads_a_relayed_answer",
            RELAYED + "test_what_needs_the_gateway_is_not_handed_on",
            RELAYED + "test_what_a_relayed_answer_said_may_come_back_to_the_engine",
            "tests/providers/test_relay_responses_checks.py::test_a_wrong_value_of_a_known_field_does_not_reach_openai",
            BROKEN + "test_a_stream_that_is_cut_ends_with_the_response_as_failed",
            BROKEN + "test_what_the_vendor_says_of_a_failure_is_handed_on",
        ),
        divergence="Without `store: false`, and with what Homeport keeps, does or answers itself, the provider gets "
        "only the fields that Homeport knows; such a request does not bring a thought back that a relayed answer had.",
        short="a raw model's provider gets known fields only, unless `store` is false and Homeport has no part in it",
    ),
    elsewhere(
        "models",
        "Models",
        REFERENCE + "Models",
        "Agents and raw models are listed and read, also with slashes in their ids; none is deleted over the API.",
        "tests/apis/test_models.py::test_agents_come_first_then_raw_models_and_those_that_make_vectors",
        "tests/apis/test_models.py::test_an_id_may_have_slashes_percent_encoded_or_not_and_be_meant_by_a_wildcard",
        "tests/apis/test_models.py::test_nothing_is_deleted",
    ),
    elsewhere(
        "context-last",
        "Context of agents",
        AGENT + ", `last`",
        "A model is shown the last N exchanges and the instructions, and nothing is deleted.",
        KEPT + "test_the_last_exchanges_are_shown_and_the_instructions",
        KEPT + "test_a_call_of_the_clients_stays_with_the_output_that_answers_it",
    ),
    elsewhere(
        "context-budget",
        "Context of agents",
        AGENT + ", `budget`",
        "What it is shown keeps to a number of tokens: whole exchanges go, the oldest first, and never new input.",
        KEPT + "test_a_budget_drops_whole_exchanges_the_oldest_first",
        KEPT + "test_new_input_is_never_dropped_and_what_is_too_long_for_the_model_is_said",
        "tests/memory/test_any_history.py::test_what_is_shown_is_whole_and_within_the_budget",
    ),
    elsewhere(
        "context-semantic",
        "Context of agents",
        AGENT + ", `semantic`",
        "Older exchanges that fit the question by meaning are shown too, in their order and with their calls.",
        KEPT + "test_older_exchanges_that_fit_the_question_are_shown_in_their_order",
        KEPT + "test_what_fits_the_question_but_not_the_budget_is_left_out",
    ),
    elsewhere(
        "context-summary",
        "Context of agents",
        AGENT + ", `summary`",
        "The older part is summarised once by the agent's own model; the summary is an item that everybody can read, "
        "its cost is counted, and it stands for that part from then on.",
        SUMMARY + "test_the_older_part_is_summarised_once_and_the_summary_used_from_then_on",
        SUMMARY + "test_everybody_can_read_the_summary_and_its_cost_is_counted",
        SUMMARY + "test_without_a_summary_the_oldest_goes_and_the_log_says_so",
    ),
    elsewhere(
        "prompt-import",
        "Responses",
        REFERENCE + "Deprecations of 3 June 2026, `/v1/prompts`",
        "`homeport import prompt` makes an agent of a prompt that was saved, and it answers to its old id and version.",
        "tests/apis/test_prompts.py::test_a_saved_prompt_becomes_an_agent_that_answers_to_its_id",
    ),
    elsewhere(
        "truncation",
        "Responses",
        REFERENCE + "Responses, `truncation`",
        "`auto` drops the oldest exchanges until a model takes the rest; `disabled`, the default, is an error.",
        "tests/apis/test_truncation.py::test_the_oldest_questions_and_answers_go_and_the_instructions_stay",
        "tests/apis/test_truncation.py::test_without_it_or_with_nothing_to_drop_the_request_is_refused",
    ),
    elsewhere(
        "max-tool-calls",
        "Responses",
        REFERENCE + "Responses, `max_tool_calls`",
        "Calls of the gateway's tools beyond it fail; the client's own functions do not count.",
        FIELDS + "test_calls_beyond_max_tool_calls_fail_and_the_next_response_begins_anew",
        FIELDS + "test_calls_of_the_clients_own_functions_do_not_count",
    ),
    elsewhere(
        "metadata",
        "Responses",
        REFERENCE + "Responses, Conversations and Chat, `metadata`",
        "Up to 16 texts are kept with a response, a conversation or a stored completion and shown with it.",
        PATHS + "test_metadata_is_kept_and_shown_with_what_it_was_given_for",
    ),
    elsewhere(
        "store-false",
        "Responses",
        REFERENCE + "Responses, `store`",
        "What is not stored cannot be read back; what goes into a conversation is kept there all the same.",
        RESPONSES + "test_a_response_that_is_not_stored_cannot_be_read_back",
        SOCKET + "test_responses_follow_one_another_and_continue_what_is_not_stored",
    ),
    elsewhere(
        "branches",
        "Responses",
        REFERENCE + "Conversation state, `previous_response_id`",
        "A response may be continued more than once, and the branches do not see each other; a deleted one is gone.",
        RESPONSES + "test_two_continuations_of_one_response_do_not_see_each_other",
        RESPONSES + "test_a_deleted_response_is_gone",
    ),
    elsewhere(
        "functions",
        "Responses",
        REFERENCE + "Function calling",
        "A `function` of the client's is handed back with its arguments, goes on with its output, and cannot be left "
        "without one.",
        RESPONSES + "test_a_function_of_the_client_is_handed_back_and_its_output_goes_on",
        RESPONSES + "test_going_on_without_the_output_of_a_call_is_refused",
        FIELDS + "test_whether_calls_may_be_parallel_is_passed_on",
    ),
    elsewhere(
        "images",
        "Responses",
        REFERENCE + "Images and vision",
        "Images come as a data: URL or as a link, which is read for a provider that reads none.",
        LINKED + "test_an_image_is_read_for_a_provider_that_does_not",
        LINKED + "test_a_provider_that_reads_urls_is_left_to_it",
        "tests/apis/test_chat.py::test_images_and_developer_messages_reach_the_model",
    ),
    elsewhere(
        "file-inputs",
        "Responses",
        REFERENCE + "File inputs",
        "Files come as `file_data` or `file_url`.",
        LINKED + "test_a_file_is_read_for_every_provider",
        "tests/apis/test_chat_fields.py::test_messages_of_every_role_and_kind_reach_the_model",
    ),
    elsewhere(
        "response-fields",
        "Responses",
        REFERENCE + "Responses",
        "A response repeats the settings that it was made with, the client's or the agent's.",
        "tests/apis/test_bodies.py::test_a_response_tells_the_settings_that_were_used",
        FIELDS + "test_a_wrong_value_of_a_known_field_is_refused_by_name",
        FIELDS + "test_logprobs_are_asked_for_either_way",
    ),
    elsewhere(
        "route-order",
        "Responses",
        REFERENCE + "Responses: compact, input token counts",
        "`/responses/compact` and `/responses/input_tokens` are no ids of responses.",
        PATHS + "test_compact_and_input_tokens_are_no_ids_of_responses",
    ),
    elsewhere(
        "poll-after",
        "Responses",
        "openai 2.54.0 and 3.52.0: poll helpers",
        "`openai-poll-after-ms` tells who polls a response under way to ask again after 250 ms, and is not there at "
        "its end.",
        PATHS + "test_who_polls_is_told_when_to_ask_again",
    ),
    elsewhere(
        "websocket-errors",
        "WebSocket",
        REFERENCE + "WebSocket mode",
        "Errors are events, and the connection stays: `invalid_json`, `invalid_type`, `unknown_event_type`, "
        "`model_not_found`, `missing_required_parameter`, `object_above_max_properties`, "
        "`previous_response_not_found`, `conversation_locked`, `too_many_requests`.",
        SOCKET + "test_what_is_wrong_is_said_and_the_connection_stays",
        SOCKET + "test_a_busy_conversation_is_refused_if_the_connection_asked_for_that",
        SOCKET + "test_requests_wait_up_to_so_many_bytes",
    ),
    elsewhere(
        "websocket-limit",
        "WebSocket",
        REFERENCE + "WebSocket mode, connection limits",
        "A connection ends after an hour with `websocket_connection_limit_reached`.",
        SOCKET + "test_a_connection_has_an_end",
    ),
    elsewhere(
        "websocket-refused",
        "WebSocket",
        REFERENCE + "WebSocket mode",
        "Without a key, or at another path, there is no connection but an answer in HTTP with OpenAI's error body.",
        SOCKET + "test_without_a_key_there_is_no_connection",
        SOCKET + "test_a_websocket_that_is_not_served_is_not_found",
    ),
    elsewhere(
        "steering-errors",
        "WebSocket",
        "openai 3.52.0: `response.steer.failed`",
        "What cannot be steered is told: `invalid_input`, `response_not_found`, `steering_not_supported`, "
        "`too_many_pending_steers`, `successor_creation_failed`.",
        STEERING + "test_what_is_no_submission_is_refused_and_the_connection_stays",
        STEERING + "test_what_cannot_be_steered_is_said",
        STEERING + "test_only_so_many_submissions_wait",
        STEERING + "test_a_successor_that_cannot_begin_gives_the_input_back",
    ),
    elsewhere(
        "health",
        "Every endpoint",
        "Homeport: `GET /healthz`, `GET /readyz`",
        "They need no key and tell whether the gateway runs, and whether it can do its work.",
        "tests/apis/test_edge.py::test_health_needs_no_key",
    ),
    elsewhere(
        "idempotency-refused",
        "Every endpoint",
        "IETF draft-ietf-httpapi-idempotency-key-header",
        "A key that comes with another body is `idempotency_key_reused`; one that is empty or has more than 255 "
        "characters is `invalid_idempotency_key`; other keys' and other owners' requests are others.",
        "tests/apis/test_idempotency.py::test_another_body_is_refused_and_another_key_or_owner_asks_anew",
        "tests/apis/test_idempotency.py::test_a_key_of_more_than_255_characters_or_none_is_refused",
    ),
)
