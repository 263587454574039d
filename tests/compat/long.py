"""What is promised of conversations that become long, and of responses that are steered. See `requirements.py`."""

from tests.compat.promised import elsewhere
from tests.compat.requirement import REFERENCE, SDK, Requirement
from tests.compat.with_clients import client

OFFICIAL = "tests/clients/test_long_conversations.py::"
STEERING = "tests/apis/test_steering.py::"
KEPT = "tests/apis/test_steering_kept.py::"
MANAGED = "tests/apis/test_context_management.py::"

LONG = (
    client(
        "client-context",
        SDK,
        "The official Python clients count, compact and go on; with strict validation they refuse the user's messages "
        "in what `compact` answers, as they refuse OpenAI's own.",
        OFFICIAL + "test_the_official_client_counts_compacts_and_goes_on",
    ),
    elsewhere(
        "steering",
        "Responses",
        "openai 3.52.0: `response.steer`",
        "More can be said to a response that is under way on a WebSocket: it ends at its next step, and a successor "
        "goes on with what was said.",
        STEERING + "test_a_run_ends_at_its_next_step_and_a_successor_has_what_was_said",
        STEERING + "test_a_run_without_another_step_completes_and_is_followed",
        STEERING + "test_where_the_client_has_to_act_the_input_waits_for_it",
        STEERING + "test_a_run_that_fails_gives_the_input_back",
        STEERING + "test_what_is_no_submission_is_refused_and_the_connection_stays",
        STEERING + "test_what_cannot_be_steered_is_said",
        KEPT + "test_what_a_closed_connection_left_stands_before_the_next_request",
        KEPT + "test_it_outlives_the_gateway",
        KEPT + "test_what_waits_for_the_client_to_act_is_there_when_it_does",
        KEPT + "test_who_approves_a_call_elsewhere_lets_it_be_told",
        KEPT + "test_of_many_requests_at_once_one_is_told",
        OFFICIAL + "test_what_is_said_of_steering_is_as_the_newer_client_has_it",
    ),
    Requirement(
        id="input-tokens",
        area="Responses",
        source=REFERENCE + "Responses, input token counts",
        behaviour="`POST /responses/input_tokens` counts what a response would send, and refuses what one refuses.",
        tests=(
            "tests/apis/test_input_tokens.py::test_everything_that_the_model_would_be_sent_counts",
            "tests/apis/test_input_tokens.py::test_what_was_said_before_counts_as_the_model_will_see_it",
            "tests/apis/test_input_tokens.py::test_what_a_response_refuses_is_not_counted_either",
        ),
        divergence="An estimate: a token for four bytes, a thousand for an image or a file.",
        short="`input_tokens` is an estimate",
    ),
    elsewhere(
        "compact",
        "Responses",
        REFERENCE + "Responses, compact",
        "`POST /responses/compact` keeps the user's messages and seals a summary of the rest, which stands for it in "
        "later requests of the same key.",
        "tests/apis/test_compact.py::test_the_users_messages_stay_and_the_rest_becomes_a_summary",
        "tests/apis/test_compact.py::test_what_a_response_ended_with_is_compacted_by_its_id",
        "tests/apis/test_compact.py::test_a_compaction_of_a_compaction_knows_the_first",
        "tests/apis/test_compact.py::test_what_was_not_sealed_here_for_this_key_is_refused",
    ),
    elsewhere(
        "compaction-trigger",
        "Responses",
        "openai 3.52.0: `compaction_trigger`",
        "As the last item of `input` it makes a response that compacts, and whose output is the compaction alone.",
        "tests/apis/test_compact.py::test_a_trigger_compacts_and_does_nothing_else",
        "tests/apis/test_compact.py::test_a_client_that_keeps_the_conversation_has_it_compacted_by_a_trigger",
        "tests/apis/test_compact.py::test_a_trigger_elsewhere_is_refused",
    ),
    elsewhere(
        "context-management",
        "Responses",
        REFERENCE + "Responses, context management",
        "Beyond `compact_threshold` the conversation is compacted before the model is asked, and goes on from there.",
        MANAGED + "test_a_stream_begins_with_the_compaction_and_later_turns_go_on_from_it",
        MANAGED + "test_a_conversation_goes_on_from_it_and_lists_it",
        MANAGED + "test_a_client_that_keeps_the_conversation_sends_it_back",
        MANAGED + "test_within_a_run_it_happens_between_two_steps_and_no_call_loses_its_result",
    ),
)
