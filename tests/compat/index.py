"""Which promises say what of each thing that a drop-in must get right, of each operation, of each field of a request.

`test_index.py` compares the latter two with `/openapi.json`: it fails for what is served and not here, or here and
not served. Ids are those of `requirements.py`.
"""

LINES = {
    "Fixed paths come before those with an id; all are served with and without `/v1`.": "prefix route-order",
    "Every failure has OpenAI's error body and status, and a request id, unknown paths and wrong keys too.": "errors",
    "One id from created to completed, to what is read back and continued; stored before it is told.": (
        "one-identity stored-before-told vllm-38227"
    ),
    "Numbered events without gaps, live and again; contiguous outputs; one write each; `[DONE]` last.": (
        "stream-order one-write background"
    ),
    "All 31 keys, usage in five parts, and what was cut off is incomplete.": "response-keys llama-22659 vllm-57998",
    "Every shape in which an item may come back is read.": "replay-shapes item-reference",
    "Any item type may be continued at once; `instructions` are not inherited; one parent; `conversation_locked`.": (
        "continue-any instructions-once one-parent conversation-locked"
    ),
    "In the background: queued at once, survives client and restart, cancelled twice, streamed again.": "background",
    "Pages honour `after`, `limit` and `order`, with real `has_more`, `first_id` and `last_id`; 20, newest first.": (
        "pages lists ogx-5611"
    ),
    "Assistants.": "assistants",
    "`file_search`: results with `include` only, citations; filters are refused.": "include file-search-options",
    "`openai-poll-after-ms` for who polls.": "poll-after",
    "Vectors in base64; the chunk of usage; an `index` for each call.": "embeddings chat-usage-chunk chat-call-index",
    "`x-should-retry: false` after side effects.": "no-second-run",
    "`prompt` names an agent; unknown fields are ignored, wrong values refused; unknown models are 404.": (
        "prompts unknown-fields unknown-model"
    ),
    "Strict validation in the official Python clients, old and new, and the Node client.": "client-openai client-node",
    "WebSocket, the Agents API, importers.": "websocket agents-api prompt-import",
}

OPERATIONS = {
    "POST /v1/chat/completions": "chat-options chat-fields chat-messages chat-tools raw-models raw-models-chat",
    "GET /v1/chat/completions": "stored-completions lists",
    "GET /v1/chat/completions/{id}": "stored-completions stored-completions-all",
    "POST /v1/chat/completions/{id}": "stored-completions",
    "DELETE /v1/chat/completions/{id}": "stored-completions",
    "GET /v1/chat/completions/{id}/messages": "stored-completions lists",
    "GET /v1/chat/completions/{id}/prompt": "prompt",
    "POST /v1/responses": "one-identity response-keys stream-order continue-any websocket raw-models-responses",
    "POST /v1/responses/input_tokens": "input-tokens route-order",
    "POST /v1/responses/compact": "compact route-order",
    "GET /v1/responses/{id}": "stored-before-told background include",
    "DELETE /v1/responses/{id}": "branches",
    "POST /v1/responses/{id}/cancel": "background",
    "GET /v1/responses/{id}/input_items": "input-items lists",
    "GET /v1/responses/{id}/prompt": "prompt",
    "POST /v1/conversations": "conversations",
    "GET /v1/conversations/{id}": "conversations",
    "POST /v1/conversations/{id}": "conversations metadata",
    "DELETE /v1/conversations/{id}": "conversations",
    "POST /v1/conversations/{id}/items": "conversation-items",
    "GET /v1/conversations/{id}/items": "conversation-items pages lists include",
    "GET /v1/conversations/{id}/items/{item}": "conversation-items",
    "DELETE /v1/conversations/{id}/items/{item}": "conversation-items",
    "POST /v1/embeddings": "embeddings embeddings-providers",
    "POST /v1/completions": "completions completions-options",
    "GET /v1/models": "models",
    "GET /v1/models/{name}": "models unknown-model",
    "DELETE /v1/models/{name}": "models",
    "GET /v1/approvals": "approvals-list lists",
    "GET /v1/approvals/{id}": "approvals-list",
    "POST /v1/approvals/{id}": "approvals-list",
    "GET /openapi.json": "openapi openapi-holds",
    "GET /healthz": "health",
    "GET /readyz": "health",
}

RESPONSE = {
    "model": "unknown-model raw-models",
    "prompt": "prompts prompt-versions prompt-import",
    "input": "replay-shapes item-reference images file-inputs",
    "instructions": "instructions-once",
    "previous_response_id": "continue-any branches one-parent",
    "conversation": "conversation-turns one-parent conversation-locked",
    "stream": "stream-order",
    "store": "stored-before-told store-false",
    "background": "background",
    "stream_options": "without-effect",
    "include": "include",
    "tools": "functions custom-tools client-mcp hosted-tools client-tools",
    "tool_choice": "tool-choice",
    "parallel_tool_calls": "functions",
    "max_tool_calls": "max-tool-calls",
    "max_output_tokens": "response-fields chat-options vllm-57998",
    "temperature": "response-fields chat-options",
    "top_p": "response-fields chat-options",
    "top_logprobs": "response-fields include",
    "text": "structured-output strict-streams",
    "reasoning": "response-fields chat-options reasoning-summary",
    "truncation": "truncation",
    "context_management": "context-management",
    "metadata": "metadata",
    "user": "chat-options",
    "safety_identifier": "service-options",
    "service_tier": "service-options",
    "prompt_cache_key": "service-options",
    "prompt_cache_options": "without-effect",
    "prompt_cache_retention": "service-options",
    "moderation": "without-effect",
    "access_programs": "without-effect",
    "image": "without-effect",
}

CHAT = {
    "model": "unknown-model raw-models",
    "messages": "chat-messages chat-history chat-branch",
    "tools": "chat-tools chat-custom-tools",
    "tool_choice": "chat-tools",
    "functions": "chat-functions",
    "function_call": "chat-functions",
    "parallel_tool_calls": "chat-options",
    "n": "chat-choices",
    "stream": "chat-usage-chunk chat-call-index",
    "stream_options": "chat-usage-chunk",
    "store": "stored-completions",
    "metadata": "stored-completions metadata",
    "temperature": "chat-options",
    "top_p": "chat-options",
    "max_tokens": "chat-options",
    "max_completion_tokens": "chat-options",
    "stop": "chat-options",
    "seed": "chat-options",
    "presence_penalty": "chat-options",
    "frequency_penalty": "chat-options",
    "logit_bias": "chat-options",
    "logprobs": "chat-choices",
    "top_logprobs": "chat-choices",
    "response_format": "chat-format",
    "modalities": "chat-refused",
    "audio": "chat-refused",
    "prediction": "service-options",
    "web_search_options": "chat-refused",
    "reasoning_effort": "chat-options",
    "verbosity": "chat-options",
    "service_tier": "service-options",
    "user": "chat-options",
    "safety_identifier": "service-options",
    "prompt_cache_key": "service-options",
    "prompt_cache_options": "without-effect",
    "prompt_cache_retention": "service-options",
    "moderation": "without-effect",
}

COMPACT = {
    "model": "compact open-responses-compact",
    "input": "compact",
    "instructions": "compact",
    "previous_response_id": "compact",
    "prompt_cache_key": "service-options",
    "service_tier": "service-options",
    "prompt_cache_options": "without-effect",
    "prompt_cache_retention": "service-options",
}

COMPLETION = {
    "model": "completions",
    "prompt": "completions completions-options",
    "n": "completions",
    "best_of": "completions",
    "echo": "completions-options",
    "suffix": "completions",
    "logprobs": "completions",
    "logit_bias": "completions-options",
    "stream": "completions",
    "stream_options": "completions",
    "max_tokens": "completions-options",
    "temperature": "completions-options",
    "top_p": "completions-options",
    "stop": "completions-options",
    "seed": "completions-options",
    "presence_penalty": "completions-options",
    "frequency_penalty": "completions-options",
    "user": "completions-options",
}

EMBEDDING = {
    "model": "embeddings",
    "input": "embeddings embeddings-providers",
    "encoding_format": "embeddings",
    "dimensions": "embeddings-providers",
    "user": "embeddings-providers",
}

FIELDS = {
    "responses.ResponsesRequest": RESPONSE,
    "responses.CompactRequest": COMPACT,
    "chat.ChatRequest": CHAT,
    "chat.UpdateBody": {"metadata": "stored-completions metadata"},
    "completions.CompletionRequest": COMPLETION,
    "embeddings.EmbeddingsRequest": EMBEDDING,
    "conversations.CreateBody": {"items": "conversations", "metadata": "conversations metadata"},
    "conversations.UpdateBody": {"metadata": "conversations metadata"},
    "conversations.ItemsBody": {"items": "conversation-items"},
    "approvals.AnswerBody": {"approve": "approvals-list", "reason": "approvals-list"},
}
"""By the names that bodies have in `/openapi.json`."""
