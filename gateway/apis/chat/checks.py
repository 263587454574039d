"""What a chat completion cannot be asked with although each field has its type: OpenAI's rules, in its words where
they are known."""

from typing import Any

from pydantic import ValidationError

from gateway.apis._checks import check_bias, check_stop, check_stream_options
from gateway.apis._requests import check_schema
from gateway.apis._wire import explain
from gateway.apis.chat.schema import ChatRequest, Prediction, RelayedRequest, RequestToOpenAI, Settings
from gateway.errors import InvalidRequest


def check_settings(asked: Settings) -> None:
    """What neither an agent nor OpenAI takes. Raises InvalidRequest."""
    if asked.stream_options is not None:
        check_stream_options(asked.stream_options, asked.stream)
    if asked.logit_bias:
        check_bias(asked.logit_bias)
    if asked.prediction is not None:
        try:
            Prediction.model_validate(asked.prediction)
        except ValidationError as error:
            raise explain(error, "prediction") from None
    if asked.top_logprobs and not asked.logprobs:
        raise InvalidRequest(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            param="top_logprobs",
            code="invalid_value",
        )


def check_relayed(asked: dict[str, Any], *, to_openai: bool) -> None:
    """What is handed on: to OpenAI, whose rules are known, or to a server that may take more. Raises InvalidRequest."""
    try:
        if to_openai:
            check_settings(RequestToOpenAI.model_validate(asked))
        else:
            body = RelayedRequest.model_validate(asked)
            check_stream_options(body.stream_options, body.stream)
    except ValidationError as error:
        raise explain(error) from None


def check_request(body: ChatRequest) -> None:
    """Raises InvalidRequest."""
    check_settings(body)
    if body.stop is not None:
        check_stop(body.stop)
    if body.response_format is not None and body.response_format.type == "json_schema":
        check_schema(body.response_format.json_schema, "response_format.json_schema")
    if body.tools and body.functions:
        raise InvalidRequest(
            "Mutually exclusive parameters: 'tools' and 'functions'. Give only one of them.",
            param="functions",
            code="mutually_exclusive_parameters",
        )
    check_function_call(body)


def check_function_call(body: ChatRequest) -> None:
    called = body.function_call
    if called is None or isinstance(called, str):
        return
    if all(function.name != called.name for function in body.functions or ()):
        raise InvalidRequest(
            f"Invalid value for 'function_call': no function named {called.name[:64]!r} was specified in the "
            "'functions' parameter.",
            param="function_call",
            code="invalid_value",
        )
