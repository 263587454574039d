"""What is promised of conversations, chat completions and stored ones. See `requirements.py`."""

from tests.compat.promised import elsewhere
from tests.compat.requirement import REFERENCE

CONVERSATIONS = "tests/apis/test_conversations.py::"
CHAT = "tests/apis/test_chat.py::"
FIELDS = "tests/apis/test_chat_fields.py::"
STORED = "tests/apis/test_chat_stored.py::"
EDGE = "tests/apis/test_edge.py::"
COMPLETIONS = "tests/apis/test_completions.py::"
VECTORS = "tests/providers/test_vectors.py::"

CONVERSING = (
    elsewhere(
        "conversations",
        "Conversations",
        REFERENCE + "Conversations: create, retrieve, update, delete",
        "A conversation is made with `items` and `metadata`, read, changed and deleted.",
        CONVERSATIONS + "test_metadata_is_replaced_and_a_deleted_conversation_is_gone",
        CONVERSATIONS + "test_a_conversation_whose_items_are_refused_is_not_made",
        CONVERSATIONS + "test_an_unknown_conversation_is_a_404",
    ),
    elsewhere(
        "conversation-items",
        "Conversations",
        REFERENCE + "Conversations: create, list, retrieve and delete items",
        "Items are put in by hand, listed, read and deleted; the model sees what is there.",
        CONVERSATIONS + "test_items_put_in_by_hand_are_what_the_model_sees",
        CONVERSATIONS + "test_items_are_listed_newest_first_and_the_pages_end",
        CONVERSATIONS + "test_an_item_can_be_read_and_deleted",
    ),
    elsewhere(
        "conversation-turns",
        "Conversations",
        REFERENCE + "Responses, `conversation`",
        "Turns of a conversation know those before them and come one after the other, whoever sends them.",
        CONVERSATIONS + "test_a_conversation_remembers_its_turns",
        CONVERSATIONS + "test_two_turns_at_once_do_not_interleave",
    ),
    elsewhere(
        "owners",
        "Every endpoint",
        "Homeport: keys",
        "What another key has made does not exist for this one, and is not waited for.",
        EDGE + "test_another_keys_responses_and_conversations_do_not_exist",
        EDGE + "test_another_keys_busy_conversation_looks_like_none_and_is_not_waited_for",
        STORED + "test_a_completion_is_its_owners_alone",
    ),
    elsewhere(
        "lists",
        "Every endpoint",
        REFERENCE + "Pagination",
        "All five lists honour `after`, `limit` (20) and `order`, and tell `has_more`, `first_id` and `last_id`: items "
        "of a conversation, items of a response, stored completions, their messages, approvals.",
        "tests/compat/test_checklist_lists.py::test_every_list_honours_after_limit_and_order_and_says_where_it_ends",
    ),
    elsewhere(
        "chat-history",
        "Chat",
        "Homeport: a client of chat sends its whole history each time",
        "A stored history that is sent again is found again: it is stored once, and its end is a new turn.",
        STORED + "test_history_that_is_sent_again_is_stored_once",
        STORED + "test_an_answer_that_the_gateways_tools_helped_with_is_known_again",
    ),
    elsewhere(
        "chat-branch",
        "Chat",
        "Homeport: a client of chat sends its whole history each time",
        "A history that was edited is a branch from the last turn that is still so.",
        STORED + "test_an_edit_is_a_branch_from_the_last_turn_that_is_still_so",
        STORED + "test_a_deleted_turn_is_not_continued",
    ),
    elsewhere(
        "chat-functions",
        "Chat",
        REFERENCE + "Chat, `functions` (deprecated)",
        "`functions`, `function_call` and the role `function` are answered in the shape they were asked in.",
        FIELDS + "test_functions_are_answered_in_the_shape_they_were_asked_in",
    ),
    elsewhere(
        "chat-tools",
        "Chat",
        REFERENCE + "Chat, `tools`",
        "The client's functions are handed back and go on with their outputs; `tool_choice` may name one or some.",
        CHAT + "test_the_clients_own_tool_is_handed_back_and_its_output_goes_on",
        CHAT + "test_parallel_calls_stream_with_an_index_each",
        FIELDS + "test_only_the_allowed_tools_are_offered",
    ),
    elsewhere(
        "chat-messages",
        "Chat",
        REFERENCE + "Chat, `messages`",
        "Messages of every role and kind reach the model: text, images, files, refusals, calls and their outputs.",
        FIELDS + "test_messages_of_every_role_and_kind_reach_the_model",
        CHAT + "test_images_and_developer_messages_reach_the_model",
    ),
    elsewhere(
        "chat-options",
        "Chat",
        REFERENCE + "Chat",
        "Options of sampling reach the model, nothing unknown does, and a wrong value is a 400 with its place.",
        "tests/compat/test_checklist_turns.py::"
        "test_every_option_of_sampling_reaches_the_model_from_chat_and_from_responses",
        CHAT + "test_sampling_options_reach_the_model_and_nothing_unknown_does",
        FIELDS + "test_fields_of_openais_are_taken_and_what_is_for_its_models_is_handed_on",
        FIELDS + "test_a_wrong_value_is_a_400_that_names_its_field",
    ),
    elsewhere(
        "chat-format",
        "Chat",
        REFERENCE + "Chat, `response_format`",
        "`parse()` and `stream()` have their objects; a strict schema holds.",
        FIELDS + "test_the_clients_helpers_for_streams_and_schemas_work",
        "tests/apis/test_structured_output.py::test_chat_completions_are_held_to_their_response_format",
    ),
    elsewhere(
        "stored-completions-all",
        "Chat",
        REFERENCE + "Chat, stored completions: retrieve, list, update, delete, messages",
        "A stream and several choices are stored as they were shown, a raw model's too; one without an answer is not.",
        STORED + "test_a_streamed_completion_is_stored_as_it_was_shown",
        STORED + "test_choices_of_one_completion_are_stored_as_one",
        STORED + "test_a_raw_models_completion_is_stored_here_too",
        STORED + "test_one_without_an_answer_is_not_shown",
    ),
    elsewhere(
        "completions-options",
        "Embeddings and legacy completions",
        REFERENCE + "Completions (legacy)",
        "Options reach the model, tokens are read as text, `echo` repeats the prompt.",
        COMPLETIONS + "test_options_reach_the_model",
        COMPLETIONS + "test_tokens_are_read_as_text",
    ),
    elsewhere(
        "embeddings-providers",
        "Embeddings and legacy completions",
        REFERENCE + "Embeddings",
        "Vendors make vectors too, with `dimensions` and `user` where they know them, in the order of `input`.",
        VECTORS + "test_a_vendor_of_openais_wire_is_asked_in_it",
        VECTORS + "test_vectors_are_in_the_order_of_the_inputs",
        VECTORS + "test_what_a_vendor_cannot_do_is_a_clear_400",
    ),
)
