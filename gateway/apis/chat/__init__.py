"""POST /v1/chat/completions: stateless, the client sends the whole history each time."""
