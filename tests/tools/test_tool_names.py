"""Names that every provider accepts, the same everywhere."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.tool_names import PROVIDER_NAME, provider_name, provider_names

SERVERS = st.from_regex(r"\A[A-Za-z0-9](?:_?[A-Za-z0-9-]){0,15}\Z")
TOOLS = st.text(min_size=1, max_size=120)


def test_a_name_that_fits_is_server_and_tool() -> None:
    assert provider_names([("rag", "search")]) == {("rag", "search"): "rag__search"}


def test_a_long_unicode_name_is_shortened_to_the_same_name_everywhere() -> None:
    name = "Überprüfung der Lieferanten-Stammdaten für Österreich, die Schweiz und Deutschland (ohne Liechtenstein) №7"
    assert len(name) > 100
    names = provider_names([("erp", name)])
    assert names == {("erp", name): "erp__berpr_fung_der_Lieferanten-Stammdaten_f_r_sterrei_27f2d02b"}


def test_names_that_look_alike_stay_apart() -> None:
    names = provider_names([("s", "a.b"), ("s", "a/b"), ("s", "a b"), ("s", "a_b")])
    assert names["s", "a_b"] == "s__a_b"
    assert len(set(names.values())) == 4


def test_a_tool_cannot_take_the_made_up_name_of_another() -> None:
    made_up = provider_names([("s", "a.b")])["s", "a.b"]
    thief = ("s", made_up.removeprefix("s__"))
    names = provider_names([("s", "a.b"), thief])
    assert names[thief] == made_up
    assert names["s", "a.b"] != made_up


def test_many_thieves_do_not_drive_a_name_beyond_what_fits() -> None:
    server = "a_" * 15 + "b"
    tools = [(server, "x.y")]
    for _ in range(6):
        tools.append((server, provider_names(tools)[server, "x.y"].removeprefix(f"{server}__")))
    names = provider_names(tools)
    assert len(set(names.values())) == len(tools)
    assert [name for name in names.values() if not PROVIDER_NAME.fullmatch(name)] == []


def test_the_name_of_one_tool_is_the_one_it_is_offered_under() -> None:
    assert provider_name("web", "fetch.page") == "web__fetch_page_2b719af0"
    assert provider_names([("web", "fetch.page")]) == {("web", "fetch.page"): "web__fetch_page_2b719af0"}


def test_a_server_and_its_tool_cannot_be_split_in_two_ways() -> None:
    assert provider_name("a", "b__c") == "a__b__c"
    assert provider_name("a__b", "c") != "a__b__c"


@given(TOOLS, TOOLS)
def test_whatever_a_client_calls_a_server_the_name_fits_every_provider(server: str, tool: str) -> None:
    assert PROVIDER_NAME.fullmatch(provider_name(server, tool))


@given(st.lists(st.tuples(SERVERS, TOOLS), unique=True, max_size=30))
def test_every_name_fits_every_provider_and_is_unique(tools: list[tuple[str, str]]) -> None:
    names = provider_names(tools)
    assert set(names) == set(tools)
    assert len(set(names.values())) == len(tools)
    assert all(PROVIDER_NAME.fullmatch(name) for name in names.values())
    assert provider_names(reversed(tools)) == names
