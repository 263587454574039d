"""What users reported as broken in other servers, and what holds here instead. See `requirements.py`."""

from tests.compat.requirement import REPORTS, Requirement


def report(id: str, source: str, behaviour: str, test: str) -> Requirement:
    """A fault that users of another server reported."""
    area = "Faults that users reported of other servers"
    return Requirement(id=id, area=area, source=source, behaviour=behaviour, tests=(REPORTS + test,))


REPORTED = (
    report(
        "litellm-11204",
        "BerriAI/litellm#11204",
        "`previous_response_id` keeps the context.",
        "test_a_response_knows_the_one_before_at_once",
    ),
    report(
        "litellm-28587",
        "BerriAI/litellm#28587",
        "It does so at once.",
        "test_a_response_knows_the_one_before_at_once",
    ),
    report(
        "litellm-15714",
        "BerriAI/litellm#15714, #16624",
        "A response has the object, statuses and settings of a response, not of a chat completion.",
        "test_a_response_is_a_response_and_not_a_completion",
    ),
    report(
        "litellm-26167",
        "BerriAI/litellm#26167",
        "Tool calls over several turns work.",
        "test_tools_over_several_turns_keep_their_calls_and_inputs",
    ),
    report(
        "litellm-19125",
        "BerriAI/litellm#19125",
        "`item_id` of the deltas is the id of the item that was added.",
        "test_a_streamed_text_has_every_event_with_one_id_and_rising_numbers",
    ),
    report(
        "litellm-24445",
        "BerriAI/litellm#24445",
        "`content_part.added` is sent.",
        "test_a_streamed_text_has_every_event_with_one_id_and_rising_numbers",
    ),
    report(
        "litellm-28899",
        "BerriAI/litellm#28899",
        "`sequence_number` rises; `text.format` and the details of usage are there.",
        "test_a_streamed_text_has_every_event_with_one_id_and_rising_numbers",
    ),
    report(
        "ogx-5309",
        "ogx-ai/ogx#5309",
        "`output_text.done` is sent.",
        "test_a_streamed_text_has_every_event_with_one_id_and_rising_numbers",
    ),
    report(
        "litellm-21331",
        "BerriAI/litellm#21331, #18201",
        "Parallel calls have different indexes; a text output stays a text.",
        "test_parallel_calls_are_apart_and_a_text_output_stays_a_text",
    ),
    Requirement(
        id="litellm-40243",
        area="Faults that users reported of other servers",
        source="BerriAI/litellm#40243, #29223, #40578",
        behaviour="A provider that fails in the middle of a stream is a failure in the words of the API.",
        tests=(
            REPORTS + "test_a_provider_that_breaks_off_is_a_failed_response_and_never_an_empty_success",
            REPORTS + "test_a_chat_stream_that_breaks_off_ends_with_an_error_that_sdks_raise",
        ),
        divergence="No `error` event comes before `response.failed`: the SDKs raise at it and never see the response.",
        short="a failed stream ends with `response.failed` alone",
    ),
    report(
        "vllm-57998",
        "vllm-project/vllm#57998",
        "Items that a limit cut off are incomplete, as their response is.",
        "test_what_a_limit_cut_off_is_incomplete_item_and_response",
    ),
    report(
        "vllm-38227",
        "vllm-project/vllm#38227",
        "The ids of the stream are those of `response.completed`.",
        "test_ids_of_the_stream_are_those_of_the_end",
    ),
    report(
        "vllm-33089",
        "vllm-project/vllm#33089, #45273, openai/codex#8829, langchain-ai/langchain#34751",
        "Input of several turns is read: reasoning, calls, missing ids and statuses.",
        "test_what_frameworks_send_back_is_read",
    ),
    report(
        "ogx-4949",
        "ogx-ai/ogx#4949",
        "LangGraph's tool message is read.",
        "test_what_frameworks_send_back_is_read",
    ),
    report(
        "ogx-5611",
        "ogx-ai/ogx#5611",
        "A conversation of more than 20 items is listed to its end.",
        "test_a_conversation_longer_than_a_page_is_listed_to_its_end",
    ),
    report(
        "ogx-3268",
        "ogx-ai/ogx#3268, #3269, #2522, #3498",
        "A turn after a turn with tools is no error: MCP, file search, functions.",
        "test_a_turn_after_a_turn_with_a_tool_of_any_kind_is_no_error",
    ),
    report(
        "bifrost-2441",
        "maximhq/bifrost#2441, lmstudio-bug-tracker#1188",
        "A streamed response is stored.",
        "test_a_streamed_response_is_stored_and_can_be_continued",
    ),
    report(
        "llama-22659",
        "ggml-org/llama.cpp#22659, router-for-me/CLIProxyAPI#4985, ogx-ai/ogx#4690",
        "Usage always has its details.",
        "test_usage_has_its_details_always",
    ),
    report(
        "open-webui-715",
        "open-webui-developer-toolkit#715",
        "Items with ids that were never stored are taken as they are.",
        "test_items_with_ids_that_nobody_stored_are_taken_as_they_are",
    ),
)
