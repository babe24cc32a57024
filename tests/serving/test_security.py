"""Who may ask: nobody without the token, no page of another site, and nobody who calls the server by another name."""

import pytest
from starlette.testclient import TestClient

from convzoo.errors import ConvzooError
from convzoo.serving.app import create_app
from convzoo.serving.security import is_loopback, token_for

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("127.0.0.1", 200),
        ("10.1.2.3:80", 200),
        ("[::1]:8000", 200),
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("zoo.example.org", 200),
        ("zoo.example.org.:8000", 200),
        ("evil.example.org", 403),
        ("localhost.evil.example.org", 403),
        ("127.0.0.1.evil.example.org:8000", 403),
        ("", 403),
    ],
)
def test_only_known_names_of_the_server_are_answered(start, host, status):
    client = start(hosts=("zoo.example.org",))
    answer = client.get("/healthz", headers={"Host": host})
    assert answer.status_code == status
    if status == 403:
        name = repr(host.partition(":")[0]) if host else "none"
        assert answer.json()["error"].startswith(f"the Host header names {name}, expected an IP address, localhost or")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 422),
        ("http://127.0.0.1:3000", 403),
        ("https://evil.example.org", 403),
        ("null", 403),
    ],
)
def test_pages_of_other_sites_get_no_answer(client, origin, status):
    answer = client.post("/v1/pets/predict", json={}, headers={"Origin": origin})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "path", ["/v1/models", "/metrics", "/docs", "/openapi.json", "/", "/demo/main.js", "/v1/pets/card", "/nowhere"]
)
def test_everything_needs_the_token_if_there_is_one(start, path):
    client = start(token=TOKEN)
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN}, {"Authorization": "Basic x"}):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == 'Basic realm="convzoo"'
        assert answer.json()["error"].startswith("the request has no token or a wrong one, expected `Authorization")
    for right in ({"headers": {"Authorization": f"bearer {TOKEN}"}}, {"auth": ("anybody", TOKEN)}):
        assert client.get(path, **right).status_code == (404 if path == "/nowhere" else 200)


def test_its_health_is_known_without_a_token(start):
    client = start(token=TOKEN)
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def test_without_the_token_problems_are_only_named(service):
    guarded = service(token=TOKEN)
    guarded.champions.problems["pets"] = "pets: /home/of/somebody/model.onnx: is broken"
    client = TestClient(create_app(guarded), "http://127.0.0.1")
    assert client.get("/readyz").json()["problems"] == ["pets"]
    [message] = client.get("/readyz", headers={"Authorization": f"Bearer {TOKEN}"}).json()["problems"]
    assert message.startswith("pets: /home/of/somebody")


def test_a_body_is_not_read_without_the_token(start):
    client = start(token=TOKEN)
    assert client.post("/v1/pets/predict", content=b"x" * 2**26).status_code == 401


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False)]
)
def test_addresses_of_this_machine_alone_are_recognised(host, expected):
    assert is_loopback(host) is expected


def test_a_name_that_also_leads_elsewhere_is_not_of_this_machine_alone(monkeypatch):
    addresses = [(0, 0, 0, "", (address, 0)) for address in ("127.0.0.1", "192.0.2.1")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: addresses)
    assert not is_loopback("both.example.org")
    del addresses[1]
    assert is_loopback("both.example.org")
    addresses.clear()
    assert not is_loopback("neither.example.org")


def test_away_from_loopback_a_token_is_required(monkeypatch):
    monkeypatch.delenv("CONVZOO_TOKEN", raising=False)
    assert token_for("127.0.0.1") is None
    with pytest.raises(ConvzooError, match=r"--host 0\.0\.0\.0: other machines could ask, expected a token"):
        token_for("0.0.0.0")
    monkeypatch.setenv("CONVZOO_TOKEN", f" {TOKEN}\n")
    assert token_for("0.0.0.0") == token_for("127.0.0.1") == TOKEN


@pytest.mark.parametrize("token", ["short", "é" * 20])
def test_a_weak_token_is_refused(monkeypatch, token):
    monkeypatch.setenv("CONVZOO_TOKEN", token)
    with pytest.raises(ConvzooError, match=r"CONVZOO_TOKEN: has .* expected at least 16 of ASCII"):
        token_for("127.0.0.1")


def test_the_outermost_check_is_that_of_host_and_token(service):
    names = [middleware.cls.__name__ for middleware in create_app(service(token=TOKEN)).user_middleware]
    assert names == ["MeasuredRequests", "Guard", "BoundedRequests"]
