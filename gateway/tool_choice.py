"""Which tools a model is offered, and which it must call: `tool_choice` and `allowed_tools` of a turn's options.

A reference to tools is {"name": N}, the name that the model is offered, or {"server": S, "tool": T}; without "tool" it
means every tool of that server. `tool_choice` is "none", "auto", "required" or a reference, one of whose tools must be
called. `allowed_tools` is a list of references; the others are not offered at all.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from gateway.agents.spec import AgentSpec
from gateway.errors import InvalidRequest
from gateway.ports import ModelCall, ToolSpec

Reference = Mapping[str, str]


def allowed(tools: Sequence[ToolSpec], options: Mapping[str, Any]) -> Sequence[ToolSpec]:
    """The tools that the run may use. Raises InvalidRequest for a reference that means none."""
    references: Sequence[Reference] | None = options.get("allowed_tools")
    if references is None:
        return tools
    found = {tool.name for reference in references for tool in meant(reference, tools)}
    return [tool for tool in tools if tool.name in found]


def forced(call: ModelCall) -> ModelCall:
    """The call that a run begins with: a server's tools of which one must be called are the only ones it offers.

    Providers know names only. Raises InvalidRequest for a choice that means no tool.
    """
    choice = call.options.get("tool_choice")
    if choice is None or isinstance(choice, str):
        return call
    tools = meant(choice, call.tools)
    if len(tools) == 1:
        return replace(call, options={**call.options, "tool_choice": {"name": tools[0].name}})
    return replace(call, tools=tools, options={**call.options, "tool_choice": "required"})


def unforced(call: ModelCall) -> ModelCall:
    """What is asked once a call was made: a tool that must be called is called once, not for ever."""
    if call.options.get("tool_choice") in (None, "auto", "none"):
        return call
    return replace(call, options={**call.options, "tool_choice": "auto"})


def meant(reference: Reference, tools: Sequence[ToolSpec]) -> list[ToolSpec]:
    """The tools that a reference names. Raises InvalidRequest if there are none."""
    found = [tool for tool in tools if is_meant(reference, tool)]
    if not found:
        name = reference.get("name") or ".".join(reference.values())
        raise InvalidRequest(
            f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice", code="invalid_value"
        )
    return found


def is_meant(reference: Reference, tool: ToolSpec) -> bool:
    if "name" in reference:
        return tool.name == reference["name"]
    return tool.server == reference["server"] and reference.get("tool") in (None, tool.tool)


def refuse_twins(ours: Set[str], theirs: Sequence[ToolSpec]) -> None:
    """Two tools of one name cannot be told apart in the model's call. Raises InvalidRequest."""
    for number, tool in enumerate(theirs):
        if tool.name in ours:
            raise InvalidRequest(
                f"The function {tool.name!r} has the name of a tool of this agent. Give it another name.",
                param=f"tools[{number}].name",
                code="invalid_value",
            )


def refuse_missing(agent: AgentSpec, tools: Sequence[ToolSpec]) -> None:
    """An agent does without a tool that is not up; a client that asked for one is told. Raises InvalidRequest."""
    for grant in agent.tools:
        if grant.type != "function" and all(grant.type != tool.type for tool in tools):
            server = grant.tool.partition(".")[0]
            raise InvalidRequest(
                f"There is no {grant.type}: it needs the tool server {server!r}, which is not up.",
                param="tools",
                code="tool_unavailable",
            )
