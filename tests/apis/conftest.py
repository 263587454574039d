"""An agent with a call that a person must allow."""

import pytest

from gateway.tools.settings import ServerSettings


@pytest.fixture
def careful(home):
    """`careful(approval="always", limits="{}")` writes the agent; the settings of its server."""

    def written(approval="always", limits="{}"):
        (home / "agents" / "careful.yaml").write_text(
            f"name: careful\nmodel: scripted/one\nlimits: {limits}\n"
            f"tools: [clock.now, {{tool: clock.count, approval: {approval}}}]\n"
        )
        return {"clock": ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})}

    return written


@pytest.fixture
def counted(home):
    """How often the call that needs an approval was run."""
    return lambda: (home / "tally").read_text().count("called") if (home / "tally").exists() else 0
