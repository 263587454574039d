"""/v1/responses: stateful, a request names the response or conversation it continues."""
