"""A server that cannot be reached is told within seconds, whatever it does."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stav2a.weights import reach


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        status = 404

        def do_HEAD(self):
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    found = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found, Handler
    found.shutdown()
    found.server_close()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    reach.reachable.cache_clear()
    monkeypatch.setenv("no_proxy", "*")
    yield
    reach.reachable.cache_clear()


def test_an_answer_counts_unless_it_is_a_servers_error(server):
    found, handler = server
    address = f"http://127.0.0.1:{found.server_port}"
    assert reach.reachable(f"{address}/one")
    handler.status = 503
    assert not reach.reachable(f"{address}/two")


def test_a_silent_server_costs_the_limit_and_no_more(monkeypatch):
    monkeypatch.setattr(reach, "LIMIT_S", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        assert not reach.reachable(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert not reach.reachable("http://127.0.0.1:1")  # nobody listens
    assert not reach.reachable("no address")


def test_the_disk_comes_first_and_the_hub_is_asked_once(monkeypatch):
    asked = []

    def load(name, local_files_only=False):
        asked.append(local_files_only)
        if local_files_only:
            raise OSError("not here")
        return name

    monkeypatch.setattr(reach, "hub_reachable", lambda: False)
    with pytest.raises(OSError, match=r"some/model is not on this machine and .* is out of reach"):
        reach.load_from_hub(load, "some/model")
    assert asked == [True]
    monkeypatch.setattr(reach, "hub_reachable", lambda: True)
    assert reach.load_from_hub(load, "some/model") == "some/model"
