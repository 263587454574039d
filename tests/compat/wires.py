"""What is promised of the ways to models: what reaches a provider, and what comes back. See `requirements.py`."""

from tests.compat.promised import elsewhere
from tests.compat.requirement import REFERENCE, Requirement

WIRE = "tests/providers/test_responses_wire.py::"
CHOICE = "tests/providers/test_responses_choice.py::"
FAULTS = "tests/providers/test_provider_faults.py::"
RECORDED = "tests/providers/test_recordings.py::"


def wire(id: str, source: str, behaviour: str, *tests: str, **more: str) -> Requirement:
    return Requirement(id=id, area="Providers", source=source, behaviour=behaviour, tests=tests, **more)


WIRES = (
    elsewhere(
        "reasoning-summary",
        "Responses",
        REFERENCE + "Responses, `reasoning`",
        "`reasoning: {effort, summary}` reaches the model; its summary streams in events of its own, and is echoed.",
        "tests/providers/test_responses_wire.py::test_a_thought_is_told_in_summary_as_it_comes_and_the_answer_after_it",
        "tests/apis/test_bodies.py::test_a_response_tells_the_settings_that_were_used",
    ),
    elsewhere(
        "service-options",
        "Responses",
        REFERENCE + "`service_tier`, `prompt_cache_key`, `prompt_cache_retention`, `safety_identifier`, `prediction`",
        "They reach providers that take them; the answer tells the service tier that the provider says.",
        "tests/providers/test_openai_options.py::test_openais_wire_is_told_all_of_them_and_says_which_tier_it_was",
        "tests/providers/test_openai_options.py::test_others_are_not_told_and_the_answer_is_none_the_worse",
    ),
    wire(
        "wire-responses",
        REFERENCE + "Responses; LiteLLM: `openai/responses/<model>`",
        "OpenAI's models are asked with Responses where the id says so, and where OpenAI serves them nowhere else. "
        "Thoughts, calls and results go back in the next turn; nothing is stored there.",
        WIRE + "test_parallel_calls_and_their_results_go_back_with_the_thought_before_them",
        WIRE + "test_a_client_that_keeps_the_conversation_keeps_the_thought_sealed_and_brings_it_back",
        WIRE + "test_every_option_and_part_has_its_place_in_the_request",
        WIRE + "test_who_speaks_chat_completions_is_answered_by_such_a_model_too",
        WIRE + "test_an_answer_that_a_limit_ended_is_incomplete",
        WIRE + "test_a_failure_is_an_error_by_its_code",
        WIRE + "test_an_answer_that_is_not_said_to_be_whole_is_a_failure",
        CHOICE + "test_a_model_is_asked_with_responses_if_its_name_says_so_or_it_is_nowhere_else",
        CHOICE + "test_openais_models_without_chat_completions_are_those_of_litellm",
        divergence="`stop`, `logit_bias` and the penalties are refused: Responses have no place for them.",
        short="models that are asked with Responses refuse `stop`, `logit_bias` and the penalties",
    ),
    wire(
        "wire-faults",
        "OpenAI, Anthropic, Google: their documented errors and events",
        "An answer that breaks off, ends early or is garbled is an error on every wire and never a proper end; who "
        "hangs up ends the provider's work.",
        FAULTS + "test_a_stream_without_a_finish_reason_is_a_failure_after_what_it_said",
        FAULTS + "test_a_connection_that_breaks_is_a_failure",
        FAULTS + "test_a_line_that_is_not_json_is_a_failure",
        FAULTS + "test_the_upstream_request_is_aborted",
    ),
    wire(
        "wire-recorded",
        "Recorded traffic of OpenAI (both wires), Anthropic, Gemini, Bedrock, Mistral, DeepSeek, Groq and Ollama",
        "Recorded answers are read by one contract: whole, in single bytes, cut off, and early ended.",
        RECORDED + "test_there_are_recordings_of_every_wire",
        RECORDED + "test_every_wire_says_text_thoughts_and_parallel_calls",
        RECORDED + "test_a_recorded_answer_is_read_by_the_contract",
        RECORDED + "test_a_recorded_stream_means_the_same_in_small_pieces",
        RECORDED + "test_a_recorded_stream_that_breaks_off_is_never_done",
        RECORDED + "test_a_recording_that_is_no_answer_is_an_error",
        divergence="The recordings are not part of the project. Where `HOMEPORT_RECORDINGS` names none, the contract "
        "runs over answers of six wires that were written by hand.",
        short="recorded traffic is replayed where `HOMEPORT_RECORDINGS` says that it is",
    ),
)
