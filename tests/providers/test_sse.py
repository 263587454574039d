"""The parser of server-sent events, against the rules of the WHATWG specification."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.sse import LONGEST_EVENT, SseParser

STREAM = b': comment\n\ndata: one\n\nevent: x\nid: 3\ndata:two\ndata: three\n\nretry: 5\n\ndata: {"a": 1}\n\ndata\n\n'
EVENTS = [b"one", b"two\nthree", b'{"a": 1}']


def parse(pieces: list[bytes]) -> list[bytes]:
    parser = SseParser()
    found = [event for piece in pieces for event in parser.feed(piece)]
    return found + parser.close()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@given(cuts=st.lists(st.integers(0, 120)))
def test_events_are_the_same_however_the_bytes_are_split(end, cuts):
    stream = STREAM.replace(b"\n", end)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert parse([stream[a:b] for a, b in itertools.pairwise(edges)]) == EVENTS


def test_a_byte_at_a_time_is_as_good_as_all_at_once():
    stream = STREAM.replace(b"\n", b"\r\n")
    assert parse([stream[at : at + 1] for at in range(len(stream))]) == EVENTS


def test_an_event_without_its_blank_line_is_given_at_the_end():
    assert parse([b"data: one\n\ndata: [DONE]"]) == [b"one", b"[DONE]"]
    assert parse([b"data: one\n\ndata: [DONE]\n"]) == [b"one", b"[DONE]"]


def test_a_byte_order_mark_is_not_data():
    assert parse([b"\xef\xbb\xbfdata: one\n\n"]) == [b"one"]


def test_a_line_of_a_megabyte_in_small_pieces_is_read_in_time():
    line = b"data: " + b"x" * 1_000_000 + b"\n\n"
    (event,) = parse([line[at : at + 10] for at in range(0, len(line), 10)])
    assert len(event) == 1_000_000


@pytest.mark.parametrize("piece", [b"x" * 2**20, b"data: x\n" * 2**17, b"data:" + b"x" * 2**20 + b"\r"])
def test_an_event_is_not_held_beyond_any_bound(piece):
    parser = SseParser()
    with pytest.raises(ValueError, match="too long"):
        for _ in range(2 + LONGEST_EVENT // 2**20):
            parser.feed(piece)


def test_as_much_as_one_likes_may_pass():
    parser = SseParser()
    event, comment = b"data: " + b"x" * 2**20 + b"\n\n", b":" + b"x" * 2**20 + b"\n"
    assert sum(len(parser.feed(event + comment)) for _ in range(2 + LONGEST_EVENT // 2**20)) > LONGEST_EVENT // 2**20
