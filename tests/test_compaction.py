"""What a model is shown of a history that was compacted, without a gateway around it."""

from gateway.compaction import compacted
from gateway.items import Compaction, Message, Text


def test_a_question_in_many_messages_is_shown_whole():
    """So many that it does not end if something is done with all of them for each."""
    said = [Message(id=str(n), role="user", content=(Text(text="a"),)) for n in range(200_000)]
    shown = compacted([*said, Compaction(id="cmp", text="They talked.")])
    assert shown[:-1] == said
