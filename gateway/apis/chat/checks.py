"""What a chat completion cannot be asked with although each field has its type: OpenAI's rules, in its words where
they are known."""

import re
from typing import Any

from pydantic import ValidationError

from gateway.apis._checks import check_bias, check_stop, check_stream_options
from gateway.apis._wire import explain
from gateway.apis.chat.messages import missing
from gateway.apis.chat.schema import ChatRequest, Prediction, RelayedRequest, RequestToOpenAI, ResponseFormat, Settings
from gateway.errors import InvalidRequest

SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_settings(asked: Settings) -> None:
    """What neither an agent nor OpenAI takes. Raises InvalidRequest."""
    check_stream_options(asked.stream_options, asked.stream)
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
    check_stop(body.stop)
    if body.response_format is not None:
        check_format(body.response_format)
    if body.tools and body.functions:
        raise InvalidRequest(
            "Mutually exclusive parameters: 'tools' and 'functions'. Give only one of them.",
            param="functions",
            code="mutually_exclusive_parameters",
        )
    check_function_call(body)


def check_format(form: ResponseFormat) -> None:
    if form.type != "json_schema":
        return
    where = "response_format.json_schema"
    if form.json_schema is None:
        raise missing(where)
    if form.json_schema.name is None:
        raise missing(f"{where}.name")
    if not SCHEMA_NAME.fullmatch(form.json_schema.name):
        raise InvalidRequest(
            f"Invalid '{where}.name': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$', of at most 64 characters.",
            param=f"{where}.name",
            code="invalid_value",
        )
    if form.json_schema.schema_ is None:
        raise missing(f"{where}.schema")


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
