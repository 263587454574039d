"""Every error the gateway raises on purpose. Each class knows its HTTP status and OpenAI `type`/`code`.

The docstring is the default message. What reaches a client is the same four keys in every dialect
(`message`, `type`, `param`, `code`); only `apis` turns an error into a body.
"""


class GatewayError(Exception):
    """The server had an error while processing your request."""

    status = 500
    type = "server_error"
    code: str | None = "internal_error"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`param` names the request field at fault; `retry_after` is in seconds.

        `acted` is set where tools have run before it happened: the request must not be sent again unseen.
        """
        super().__init__(message or (self.__class__.__doc__ or "").strip())
        if code is not None:
            self.code = code
        self.param = param
        self.retry_after = retry_after
        self.acted = False


class InvalidRequest(GatewayError):
    """The request is not valid."""

    status, type, code = 400, "invalid_request_error", "invalid_request"


class Unauthenticated(GatewayError):
    """No API key was given. Send `Authorization: Bearer KEY`; `homeport keys create NAME` makes a key."""

    status, type, code = 401, "invalid_request_error", "invalid_api_key"


class Forbidden(GatewayError):
    """This request is not allowed."""

    status, type, code = 403, "invalid_request_error", "forbidden"


class NotFound(GatewayError):
    """No such object."""

    status, type, code = 404, "invalid_request_error", "not_found"


class ToolServerDown(GatewayError):
    """The tool server is not up."""

    status, type, code = 503, "server_error", "tool_server_down"


class TooLarge(GatewayError):
    """The request body is too large."""

    status, type, code = 413, "invalid_request_error", "request_too_large"


class TooManyKeys(GatewayError):
    """Too many requests with an Idempotency-Key are under way to keep another answer. Nothing was begun."""

    # 429, not 503: the gateway is well, and who asks less at once, later or without a key is answered.
    status, type, code = 429, "rate_limit_error", "too_many_idempotency_keys"


class ConversationLocked(GatewayError):
    """Another process is currently operating on this conversation. Please retry in a few seconds."""

    status, type, code = 400, "invalid_request_error", "conversation_locked"


class CallerGone(GatewayError):
    """The client hung up before its turn began."""

    # What nginx logs for it; nobody is there to read it.
    status, type, code = 499, "invalid_request_error", "client_closed_request"


class BadArguments(GatewayError):
    """The arguments of a tool call are not valid. The message is for the model, which may try again."""

    status, type, code = 400, "invalid_request_error", "invalid_tool_arguments"


class RunInterrupted(GatewayError):
    """The run took longer than its deadline."""

    status, type, code = 504, "server_error", "deadline_exceeded"


class StorageFull(GatewayError):
    """The gateway cannot write to its database, so nothing was accepted. Free disk space and try again."""

    status, type, code = 503, "server_error", "storage_unavailable"


class ProviderError(GatewayError):
    """The model provider failed.

    `status` is what the gateway answers; `retryable` says whether the same request may succeed on a second
    attempt or on another model. Made by `providers` from the vendor's status and error code, never from
    the words of a message.
    """

    status, type, code = 502, "server_error", "provider_error"
    retryable = True


class ProviderRateLimited(ProviderError):
    """The model provider is limiting requests."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class ProviderQuotaExceeded(ProviderError):
    """The account with the model provider has no quota or credit left."""

    status, type, code, retryable = 429, "insufficient_quota", "insufficient_quota", False


class ProviderOverloaded(ProviderError):
    """The model provider is overloaded."""

    status, type, code = 503, "server_error", "provider_overloaded"


class ProviderTimeout(ProviderError):
    """The model provider did not answer in time."""

    status, type, code = 504, "server_error", "provider_timeout"


class ProviderRefused(ProviderError):
    """The model provider did not accept the request."""

    status, type, code, retryable = 400, "invalid_request_error", "provider_refused", False


class ProviderKeyRejected(ProviderError):
    """The model provider did not accept the gateway's credentials."""

    # 502, not 401: the caller's own key is fine, and an SDK would report a 401 as the caller's.
    status, type, code, retryable = 502, "server_error", "provider_authentication_failed", False


class ContextTooLong(ProviderRefused):
    """The conversation is longer than the model's context window."""

    code = "context_length_exceeded"
