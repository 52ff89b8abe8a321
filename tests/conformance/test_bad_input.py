"""Requests that nobody should send: the protocol's own answer to each, with the headers it names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import httpx
import pytest

from tests.support.raw_http import Reply, exchange, request
from tests.support.server import ServerProcess
from webapp.streams.limits import StreamLimits

JSON = "application/json"
TEXT = "text/plain"
LIMIT = StreamLimits().max_append_bytes
BASE = "/v1/stream/"
Fields = dict[str, str]


class House:
    """A server with one stream in every state that there is."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.http = httpx.Client(base_url=f"{server.url}{BASE}")
        self.put("json", JSON, b"[1]")
        self.put("text", TEXT, b"hello")
        self.put("binary", "application/octet-stream")
        self.put("mortal", JSON, fields={"Stream-TTL": "3600"})
        self.put("closed", JSON, b"[1,2]", fields={"Stream-Closed": "true"})
        self.put("gone", JSON, b"[1]")
        self.put("fork", JSON, fields={"Stream-Forked-From": f"{BASE}gone"})
        self.delete("gone")
        self.put("again", JSON, b"[1]")
        self.old_offset = self.tail("again")
        self.delete("again")
        self.put("again", JSON, b"[2]")
        for epoch, seq in ((4, 0), (4, 1)):
            producer = {"Producer-Id": "p", "Producer-Epoch": str(epoch), "Producer-Seq": str(seq)}
            self.http.post("json", json=[seq], headers=producer).raise_for_status()
        self.http.post("json", json=[0], headers={"Stream-Seq": "m"}).raise_for_status()
        self.streams = ("json", "text", "binary", "mortal", "closed", "fork", "again")

    def put(self, path: str, content_type: str, body: bytes = b"", *, fields: Fields | None = None) -> None:
        headers = {"Content-Type": content_type} | (fields or {})
        assert self.http.put(path, content=body, headers=headers).status_code == 201

    def delete(self, path: str) -> None:
        assert self.http.delete(path).status_code == 204

    def tail(self, path: str) -> str:
        return str(self.http.head(path).raise_for_status().headers["Stream-Next-Offset"])

    def ask(self, method: str, target: str, fields: Fields | None = None, body: bytes = b"") -> Reply:
        return exchange(self.server.port, request(method, target, (fields or {}).items(), body))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Afterwards every stream is what it was, and the server has nothing to complain about."""
    with ServerProcess(tmp_path_factory.mktemp("bad") / "data", command="streams") as server:
        house = House(server)
        with closing(house.http):
            before = [house.http.get(path).content for path in house.streams]
            yield house
            assert [house.http.get(path).content for path in house.streams] == before
        server.sigterm()
        assert "ERROR" not in server.log
        assert "Traceback" not in server.log


def refused(reply: Reply, status: int, **named: str) -> None:
    """The status, the headers named, and what every refusal has."""
    assert reply.status == status, reply
    assert {name: reply.headers.get(name.replace("_", "-")) for name in named} == named
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] == JSON
    if reply.body:
        assert set(reply.json()) == {"error", "code"}
        assert "Traceback" not in reply.json()["error"]


OFFSETS = [
    *(
        "",
        " ",
        "0",
        "-2",
        "-1 ",
        "NOW",
        "now ",
        "null",
        "a,b",
        "a/b",
        "..",
        "\0",
        "\n",
        "-1\r\nX-Injected: 1",
    ),
    *("0000000000000001_0000000000000001\n", "0000000000000001-0000000000000001", "1_1", "-1_-1", "1e3_0"),
    *("٠" * 16 + "_" + "٠" * 16, "9" * 16 + "_" + "9" * 17, "0x00000000000001_0000000000000001", "x" * 5000),
]
QUERIES = [
    "offset=-1&offset=-1",
    "offset=-1&offset=now",
    "offset=-1&live=sse&live=sse",
    "offset=-1&live=long-poll&cursor=1&cursor=2",
    "live=sse",
    "live=long-poll",
    "live=long-poll&cursor=1",
    "&".join(["x=1"] * 33),
]


@pytest.mark.parametrize("offset", OFFSETS, ids=lambda value: repr(value)[:30])
@pytest.mark.parametrize("live", ["", "&live=sse", "&live=long-poll"])
def test_an_offset_that_was_never_given_out(house: House, offset: str, live: str) -> None:
    refused(house.ask("GET", f"{BASE}json?offset={quote(offset)}{live}"), 400)


def test_an_offset_beyond_the_tail(house: House) -> None:
    generation, position = house.tail("json").split("_")
    refused(house.ask("GET", f"{BASE}json?offset={generation}_{int(position) + 1:016d}"), 400)


@pytest.mark.parametrize("query", QUERIES, ids=lambda value: value[:50])
def test_parameters_that_are_missing_or_repeated(house: House, query: str) -> None:
    refused(house.ask("GET", f"{BASE}json?{query}"), 400)


@pytest.mark.parametrize(
    "query", ["offset=-1&live=maybe", "offset=-1&color=red", "cursor=%0d%0aX-Injected:1"]
)
def test_parameters_that_mean_nothing_are_ignored(house: House, query: str) -> None:
    reply = house.ask("GET", f"{BASE}text?{query}")
    assert (reply.status, reply.body) == (200, b"hello")
    assert "x-injected" not in reply.headers


HEADERS: list[Fields] = [
    *({"Stream-TTL": value} for value in ("-1", "+5", "1.5", "05", "1e3", "abc", "", " ", "9" * 30, "٣")),
    *(
        {"Stream-Expires-At": value}
        for value in ("tomorrow", "2030-01-01", "2030-13-01T00:00:00Z", "1893456000")
    ),
    {"Stream-TTL": "60", "Stream-Expires-At": "2099-01-01T00:00:00Z"},
    *(
        {"Content-Type": value}
        for value in ("json", "a/b/c", "text/plain\tx", "text/plain; x=\xff", "/", "a b/c")
    ),
    {"Stream-Fork-Offset": "-1"},
    {"Stream-Fork-Sub-Offset": "0"},
    {"Stream-Forked-From": f"{BASE}a/../b"},
    {"Stream-Forked-From": "text"},
    {"Stream-Forked-From": f"{BASE}text", "Stream-Fork-Offset": "nowhere"},
    {"Stream-Forked-From": f"{BASE}text", "Stream-Fork-Offset": "9999999999999999_9999999999999999"},
    *(
        {"Stream-Forked-From": f"{BASE}text", "Stream-Fork-Offset": "-1", "Stream-Fork-Sub-Offset": value}
        for value in ("-1", "1.0", "01", "six", "6", "999999999999999999999")
    ),
    {"Stream-Forked-From": f"{BASE}text", "Stream-Fork-Sub-Offset": "1"},
]


@pytest.mark.parametrize("fields", HEADERS, ids=lambda value: str(value)[:60])
def test_headers_no_stream_can_be_made_with(house: House, fields: Fields) -> None:
    raw = {name: value.encode().decode("latin-1") for name, value in fields.items()}
    refused(house.ask("PUT", f"{BASE}new", raw), 400)
    refused(house.ask("GET", f"{BASE}new"), 404)


BODIES = [
    *(
        b"",
        b"[]",
        b"{",
        b"[1,]",
        b"[1 2]",
        b"1 2",
        b"[1]]",
        b"nul",
        b"'a'",
        b"[01]",
        b"+1",
        b"\xef\xbb\xbf[1]",
    ),
    *(b"NaN", b"[Infinity]", b"-Infinity", b'"\n"', b'"\x00"', b'"\\x"', b"\xff", '"a"'.encode("utf-16")),
    *(b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000, b"[" * 66 + b"]" * 66),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda value: repr(value)[:30])
def test_bodies_that_are_no_messages(house: House, body: bytes) -> None:
    refused(house.ask("POST", f"{BASE}json", {"Content-Type": JSON}, body), 400)
    if body not in (b"", b"[]"):
        refused(house.ask("PUT", f"{BASE}new", {"Content-Type": JSON}, body), 400)


PRODUCERS: list[Fields] = [
    {"Producer-Id": "q"},
    {"Producer-Epoch": "0", "Producer-Seq": "0"},
    {"Producer-Id": "q", "Producer-Epoch": "0"},
    {"Producer-Id": "", "Producer-Epoch": "0", "Producer-Seq": "0"},
    *(
        {"Producer-Id": "q", "Producer-Epoch": "0", "Producer-Seq": value}
        for value in ("-1", "+0", "1_0", "0.0", " ", "", "٠", "9007199254740992", "x", "0" * 17)
    ),
    {"Producer-Id": "q", "Producer-Epoch": "1e0", "Producer-Seq": "0"},
    {"Producer-Id": "p", "Producer-Epoch": "5", "Producer-Seq": "1"},  # a new epoch begins at 0
]


@pytest.mark.parametrize("fields", PRODUCERS, ids=str)
def test_producers_that_make_no_sense(house: House, fields: Fields) -> None:
    raw = {name: value.encode().decode("latin-1") for name, value in fields.items()}
    refused(house.ask("POST", f"{BASE}json", {"Content-Type": JSON, **raw}, b"9"), 400)


def test_an_append_without_a_content_type(house: House) -> None:
    refused(house.ask("POST", f"{BASE}json", body=b"9"), 400)


def test_fencing_and_gaps_say_what_would_have_been_right(house: House) -> None:
    def append(epoch: int, seq: int) -> Reply:
        producer = {"Producer-Id": "p", "Producer-Epoch": str(epoch), "Producer-Seq": str(seq)}
        return house.ask("POST", f"{BASE}json", {"Content-Type": JSON, **producer}, b"9")

    refused(append(3, 2), 403, producer_epoch="4")
    refused(append(4, 7), 409, producer_expected_seq="2", producer_received_seq="7")
    unknown = {"Producer-Id": "new", "Producer-Epoch": "0", "Producer-Seq": "3", "Content-Type": JSON}
    reply = house.ask("POST", f"{BASE}json", unknown, b"9")
    refused(reply, 409, producer_expected_seq="0", producer_received_seq="3")


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"Content-Type": JSON}, b"3"),
        ({"Content-Type": TEXT}, b"closure is told before anything else"),
        ({"Content-Type": JSON}, b"{"),
        ({"Content-Type": JSON, "Stream-Closed": "true"}, b"3"),
        ({"Content-Type": JSON, "Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "0"}, b"3"),
    ],
)
def test_a_closed_stream_says_so_and_where_it_ends(house: House, fields: Fields, body: bytes) -> None:
    reply = house.ask("POST", f"{BASE}closed", fields, body)
    refused(reply, 409, stream_closed="true", stream_next_offset=house.tail("closed"))


CONFLICTS: list[tuple[str, str, Fields, bytes]] = [
    ("POST", "json", {"Content-Type": TEXT}, b"9"),
    ("POST", "text", {"Content-Type": JSON}, b"{"),
    *(("POST", "json", {"Content-Type": JSON, "Stream-Seq": seq}, b"9") for seq in ("m", "l", "M", "99", "")),
    ("PUT", "json", {"Content-Type": TEXT}, b""),
    ("PUT", "json", {"Content-Type": JSON, "Stream-TTL": "5"}, b""),
    ("PUT", "json", {"Content-Type": JSON, "Stream-Closed": "true"}, b""),
    ("PUT", "closed", {"Content-Type": JSON}, b""),
    ("PUT", "json", {"Content-Type": JSON, "Stream-Forked-From": f"{BASE}closed"}, b""),
    ("PUT", "mortal", {"Content-Type": JSON, "Stream-TTL": "3601"}, b""),
    ("PUT", "gone", {"Content-Type": JSON}, b""),
    ("PUT", "new", {"Stream-Forked-From": f"{BASE}gone"}, b""),
    ("PUT", "new", {"Stream-Forked-From": f"{BASE}json", "Content-Type": TEXT}, b""),
]


@pytest.mark.parametrize("conflict", CONFLICTS, ids=lambda value: " ".join(map(str, value))[:70])
def test_what_does_not_fit_the_stream_that_is_there(
    house: House, conflict: tuple[str, str, Fields, bytes]
) -> None:
    method, path, fields, body = conflict
    refused(house.ask(method, BASE + path, fields, body), 409)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"{BASE}nowhere", 404),
        (f"{BASE}__ds", 404),
        (f"{BASE}__ds/subscriptions/x", 404),
        (f"{BASE}%5f%5fds/jwks.json", 404),
        (f"{BASE}gone", 410),
        ("/v1/stream", 404),
        ("/v1/streams/json", 404),
        ("/", 404),
    ],
)
def test_what_is_not_there(house: House, method: str, target: str, status: int) -> None:
    refused(house.ask(method, target, {"Content-Type": JSON}, b"9" if method == "POST" else b""), status)


@pytest.mark.parametrize("live", ["", "&live=sse", "&live=long-poll"])
def test_an_offset_of_the_stream_before_this_one(house: House, live: str) -> None:
    refused(house.ask("GET", f"{BASE}again?offset={house.old_offset}{live}"), 410)


def test_a_fork_of_nothing_and_a_stream_at_a_reserved_path(house: House) -> None:
    refused(house.ask("PUT", f"{BASE}new", {"Stream-Forked-From": f"{BASE}nowhere"}), 404)
    refused(house.ask("PUT", f"{BASE}__ds/x", {"Content-Type": JSON}), 404)


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND"])
def test_methods_that_streams_do_not_take(house: House, method: str) -> None:
    refused(house.ask(method, f"{BASE}json"), 405, allow="GET, HEAD, PUT, POST, DELETE, OPTIONS")


PATHS = [
    *(
        "",
        "/",
        "a//b",
        "a/",
        "/a",
        ".",
        "..",
        "../x",
        "a/../b",
        "a/./b",
        "%2e%2e/x",
        "a/%2E%2e",
        "a%2f..%2fb",
    ),
    *("%00", "a%00b", "a%0d%0aX-Injected:%201", "a%0a", "%7f", "a%5cb", "a\\b", "%C2%80%0d", "x" * 1025),
]


@pytest.mark.parametrize("path", PATHS, ids=lambda value: repr(value)[:40])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_paths_that_name_no_stream(house: House, method: str, path: str) -> None:
    reply = house.ask(method, BASE + path, {"Content-Type": JSON})
    refused(reply, 400)
    assert "x-injected" not in reply.headers


@pytest.mark.parametrize("path", [b"a b", b"a\x01b", b"a\x00", b"\x7f", b"a\tb"])
def test_paths_that_are_no_http(house: House, path: bytes) -> None:
    assert exchange(house.server.port, request("GET", BASE.encode() + path)).status in (400, 404)


@pytest.mark.parametrize("path", ["%zz", "a%", "~!$&'()*+,;=:@", "%E2%80%A8", "a%20b", "a%23%3F", "x" * 1024])
def test_paths_that_are_strange_and_good(house: House, path: str) -> None:
    created = house.ask("PUT", BASE + path, {"Content-Type": TEXT}, b"x")
    assert created.status == 201
    assert created.headers["location"] == f"http://streams.test{BASE}{path}"
    assert house.ask("GET", BASE + path).body == b"x"
    assert house.ask("DELETE", BASE + path).status == 204


TEXT_FIELDS = {"Content-Type": TEXT}


def test_the_largest_body_and_one_byte_more(house: House) -> None:
    house.put("large", TEXT)
    reply = house.ask("POST", f"{BASE}large", TEXT_FIELDS, b"x" * LIMIT)
    assert reply.status == 204
    assert house.tail("large").endswith(f"_{LIMIT:016d}")
    refused(house.ask("POST", f"{BASE}large", TEXT_FIELDS, b"x" * (LIMIT + 1)), 413)
    house.delete("large")


@pytest.mark.parametrize("length", [LIMIT + 1, 2**40, 10**18])
def test_a_body_announced_too_large_is_refused_before_it_comes(house: House, length: int) -> None:
    fields = [*TEXT_FIELDS.items(), ("Content-Length", str(length))]
    refused(exchange(house.server.port, request("POST", f"{BASE}text", fields, framed=False)), 413)


def test_a_body_that_was_not_announced_is_refused_when_it_is_too_large(house: House) -> None:
    fields = [*TEXT_FIELDS.items(), ("Transfer-Encoding", "chunked")]
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    head = request("POST", f"{BASE}text", fields, framed=False)
    refused(exchange(house.server.port, head, *[chunk] * (LIMIT // 0x100000 + 4)), 413)


def test_more_messages_than_one_append_may_bring(house: House) -> None:
    most = StreamLimits().max_messages_per_append
    body = b"[%b]" % b",".join([b"1"] * (most + 1))
    refused(house.ask("POST", f"{BASE}json", {"Content-Type": JSON}, body), 413)


@pytest.mark.parametrize(
    "fields",
    [
        [("Content-Length", "5"), ("Content-Length", "6")],
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "-5")],
        [("Content-Length", "5x")],
        [("Content-Length", "9" * 400)],
        [("Transfer-Encoding", "chunked, identity")],
    ],
    ids=str,
)
def test_framing_that_two_servers_could_read_differently(house: House, fields: list[tuple[str, str]]) -> None:
    smuggled = b"5\r\nhello\r\n0\r\n\r\n" + request("DELETE", f"{BASE}text")
    whole = request("POST", f"{BASE}text", [*TEXT_FIELDS.items(), *fields], smuggled, framed=False)
    assert exchange(house.server.port, whole).status in (400, 413)
