"""What is promised of chat completions and of legacy ones. See `requirements.py`."""

from tests.compat.promised import elsewhere
from tests.compat.requirement import REFERENCE, SDK, Requirement

COMPLETIONS = (
    elsewhere(
        "chat-custom-tools",
        "Chat",
        REFERENCE + "Chat, custom tools; openai-openapi#576 for the stream",
        "`custom` tools are called with text, streamed and not, chosen and allowed, and their calls sent back.",
        "tests/apis/test_chat_custom_tools.py::test_a_custom_tool_is_called_with_text_and_answered",
        "tests/apis/test_chat_custom_tools.py::test_its_call_is_streamed",
        "tests/apis/test_chat_custom_tools.py::test_it_may_be_among_the_allowed_tools",
    ),
    elsewhere(
        "chat-fields",
        "Chat",
        SDK + ": types of the request",
        "A wrong value is a 400 that names its field; at other servers' raw models only what none of them takes.",
        "tests/apis/test_chat_fields.py::test_a_wrong_value_is_a_400_that_names_its_field",
        "tests/providers/test_relay.py::test_a_wrong_value_of_a_known_field_does_not_reach_openai",
        "tests/providers/test_relay.py::test_what_openai_would_refuse_reaches_a_server_that_takes_it",
        "tests/providers/test_relay.py::test_what_no_server_takes_reaches_none",
    ),
    Requirement(
        id="raw-models-chat",
        area="Chat",
        source=REFERENCE + "Chat; other vendors' extensions of it",
        behaviour="A raw model gets every field. Choices, strict schemas and custom tools work with any server.",
        tests=(
            "tests/providers/test_relay.py::test_the_vendor_gets_every_field_with_its_own_name_for_the_model",
            "tests/providers/test_relay.py::test_what_vendors_add_to_openais_fields_reaches_them",
            "tests/providers/test_relay.py::test_several_choices_of_a_server_that_may_not_make_them_are_asked_for_one_by_one",
            "tests/providers/test_relay.py::test_an_answer_of_a_server_that_may_not_hold_it_to_a_strict_schema_is_checked",
        ),
        divergence="With `store: true`, an `Idempotency-Key`, or, at servers other than OpenAI's, `n` above 1, a "
        "strict `json_schema` or custom tools, the provider gets only the fields that Homeport knows.",
        short="a raw model gets known fields only, where Homeport stores the answer or does what its server may not do",
    ),
    Requirement(
        id="completions",
        area="Embeddings and legacy completions",
        source=REFERENCE + "Completions (legacy)",
        behaviour="Prompts are continued, each with `n` choices, streamed and not, with `logprobs` if there are any.",
        tests=(
            "tests/apis/test_completions.py::test_each_prompt_has_n_choices_in_order",
            "tests/apis/test_completions.py::test_a_stream_adds_up_to_the_same_choices",
            "tests/apis/test_completions.py::test_the_official_client_reads_the_stream",
            "tests/apis/test_completions.py::test_probabilities_of_tokens_come_in_the_old_shape",
        ),
        divergence="`suffix`, a `best_of` other than `n`, and `logprobs` with `echo` are refused: chat models do the "
        "work. Without `max_tokens` the model says when to stop, and not after OpenAI's 16 tokens.",
        short="legacy completions have no `suffix`, no `best_of`, and no default of 16 tokens",
    ),
)
