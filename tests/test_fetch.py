"""Fetching: what is cut off is resumed, what is wrong is refused, what is there is not fetched again."""

import errno
import hashlib
import json
import os
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from asyrp_lib.cli import main
from asyrp_lib.domains.photos.download import ATTEMPTS
from asyrp_lib.domains.photos.fetch import RECORD, fetch, fetch_file, verify
from asyrp_lib.domains.photos.registry import ROWS, Remote
from asyrp_lib.errors import AsyrpError, OfflineError, UnknownNameError, WeightsError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """A file server that can misbehave; `requests`: Range headers it saw, `sent`: bytes of each answer."""

    def handle_error(self, *_):
        """A client that hangs up is no news."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.sent = [], []
        self.cut, self.ranges, self.content, self.etag, self.status = [], True, CONTENT, '"v1"', 200
        self.shift, self.length, self.begun, self.go_on = 0, str, threading.Event(), threading.Event()
        self.go_on.set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/file.pt"


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`; closes the connection after `server.cut[0]` bytes if there is one."""

    def do_GET(self):  # noqa: N802, the name http.server asks for
        server, asked = self.server, self.headers.get("Range")
        server.requests.append(asked)
        if server.status != 200:
            return self.send_error(server.status)
        start, body = 0, server.content
        fresh = self.headers.get("If-Range", server.etag) == server.etag
        if asked and server.ranges and fresh:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start + server.shift}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if server.length:
            self.send_header("Content-Length", server.length(len(body) - start))
        self.send_header("ETag", server.etag)
        self.end_headers()
        part = body[start:][: server.cut.pop(0) if server.cut else None]
        self.wfile.write(part[: len(part) // 2])
        server.begun.set()
        server.go_on.wait(10)
        self.wfile.write(part[len(part) // 2 :])
        server.sent.append(len(part))
        self.close_connection = True
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    running = Server()
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def get(server, folder, **about) -> str:
    return fetch_file(Remote("file.pt", server.url, **about), folder, "toy")


def names(folder) -> set[str]:
    return {p.name for p in folder.iterdir() if ".lock" not in p.name}


def test_a_download_arrives_whole_with_its_hash_on_record_and_nothing_else(server, tmp_path):
    assert get(server, tmp_path / "new").startswith("fetched")
    assert (tmp_path / "new" / "file.pt").read_bytes() == CONTENT
    assert names(tmp_path / "new") == {"file.pt", RECORD}
    stored = json.loads((tmp_path / "new" / RECORD).read_text())["file.pt"]
    assert stored["sha256"] == SHA256 and stored["bytes"] == len(CONTENT) and stored["url"] == server.url


def test_a_cut_connection_is_resumed_from_where_it_was_cut(server, tmp_path):
    server.cut = [len(CONTENT) // 2]
    get(server, tmp_path)
    assert (tmp_path / "file.pt").read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-"]
    assert sum(server.sent) == len(CONTENT), "bytes were fetched twice"


def test_a_run_that_was_given_up_is_resumed_by_the_next_run(server, tmp_path):
    server.cut = [100_000] * ATTEMPTS
    with pytest.raises(OfflineError, match=r"0\.5 MB are kept"):
        get(server, tmp_path)
    assert (tmp_path / "file.pt.part").stat().st_size == 500_000 and not (tmp_path / "file.pt").exists()
    get(server, tmp_path)
    assert (tmp_path / "file.pt").read_bytes() == CONTENT
    assert sum(server.sent) == len(CONTENT) and names(tmp_path) == {"file.pt", RECORD}


def test_a_server_that_ignores_ranges_sends_the_whole_file_again_and_it_is_right(server, tmp_path):
    server.ranges, server.cut = False, [len(CONTENT) // 2]
    get(server, tmp_path)
    assert (tmp_path / "file.pt").read_bytes() == CONTENT and server.sent[1] == len(CONTENT)


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_half(server, tmp_path):
    server.cut = [100_000] * ATTEMPTS
    with pytest.raises(OfflineError):
        get(server, tmp_path)
    server.content, server.etag = CONTENT[::-1], '"v2"'
    get(server, tmp_path)
    assert (tmp_path / "file.pt").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("left", [len(CONTENT), len(CONTENT) + 10])
def test_a_part_that_is_already_whole_or_too_long_ends_well(server, tmp_path, left):
    (tmp_path / "file.pt.part").write_bytes((CONTENT + b"0123456789")[:left])
    get(server, tmp_path)
    assert (tmp_path / "file.pt").read_bytes() == CONTENT


def test_a_second_run_downloads_nothing_and_verifies(server, tmp_path):
    get(server, tmp_path)
    assert get(server, tmp_path).startswith("there")
    assert len(server.requests) == 1


@pytest.mark.parametrize("published", [SHA256, SHA256[:8]])
def test_the_published_hash_or_its_beginning_is_accepted(server, tmp_path, published):
    get(server, tmp_path, sha256=published)


def test_a_wrong_hash_is_refused_and_the_bad_file_is_not_left_behind(server, tmp_path):
    with pytest.raises(WeightsError, match="the one published begins with 0000"):
        get(server, tmp_path, sha256="0" * 64)
    assert names(tmp_path) == set()


def test_a_web_page_in_place_of_the_file_is_refused(server, tmp_path):
    server.content = b"\n<!DOCTYPE html><title>confirm</title>"
    with pytest.raises(WeightsError, match="a web page"):
        get(server, tmp_path)
    server.content = b"short"
    with pytest.raises(WeightsError, match="expected about 455"):
        get(server, tmp_path, megabytes=455)
    assert names(tmp_path) == set()


def test_a_file_that_changes_after_its_first_use_is_refused_ever_after(server, tmp_path):
    get(server, tmp_path)
    (tmp_path / "file.pt").write_bytes(CONTENT[::-1])
    for _ in range(2):
        with pytest.raises(WeightsError, match="recorded at its first use"):
            verify(Remote("file.pt", server.url), tmp_path, "toy")
        with pytest.raises(WeightsError, match="recorded at its first use"):
            get(server, tmp_path)


def test_another_file_fetched_in_place_of_a_deleted_one_is_refused_too(server, tmp_path):
    get(server, tmp_path)
    (tmp_path / "file.pt").unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(WeightsError, match="if you trust the new one, delete its entry in fetched.json"):
        get(server, tmp_path)
    assert names(tmp_path) == {RECORD}


def test_a_file_brought_by_hand_is_recorded_and_held_to_it(tmp_path):
    by_browser = Remote("net.pt", pages=("https://example.org/a",), megabytes=374)
    line = fetch_file(by_browser, tmp_path, "toy")
    assert (
        line.startswith("by hand")
        and "https://example.org/a" in line
        and str(tmp_path) in line
        and "374 MB" in line
    )
    small = Remote("net.pt", pages=("https://example.org/a",))
    (tmp_path / "net.pt").write_bytes(b"weights")
    assert fetch_file(small, tmp_path, "toy").startswith("there")
    (tmp_path / "net.pt").write_bytes(b"weightz")
    with pytest.raises(WeightsError, match="recorded"):
        verify(small, tmp_path, "toy")


def test_a_damaged_record_is_one_sentence(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"weights")
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(WeightsError, match="is damaged"):
        verify(Remote("net.pt"), tmp_path, "toy")


def test_offline_is_one_sentence_and_no_request(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE forbids"):
        get(server, tmp_path)
    assert server.requests == []


def test_no_server_and_a_missing_file_are_one_sentence(server, tmp_path):
    server.status = 404
    with pytest.raises(OfflineError, match="404"):
        get(server, tmp_path)
    gone = Remote("file.pt", "http://127.0.0.1:9/file.pt", ("https://example.org/page",))
    with pytest.raises(
        OfflineError,
        match=r"nothing has come yet; run again with a network, or get it with a browser from https://ex",
    ):
        fetch_file(gone, tmp_path, "toy")
    assert names(tmp_path) == set()


def test_the_command_fetches_a_domain_and_says_what_a_browser_must_do(server, tmp_path, monkeypatch, capsys):
    from dataclasses import replace

    monkeypatch.setenv("ASYRP_WEIGHTS", str(tmp_path))
    network = (
        Remote("file.pt", server.url),
        Remote("other.pt", pages=("https://example.org/x",), megabytes=1),
    )
    monkeypatch.setitem(ROWS, "celeba_hq", replace(ROWS["celeba_hq"], network=network, directions={}))
    assert main(["fetch", "celeba_hq"]) == 0
    printed = capsys.readouterr().out
    assert "fetched" in printed and "by hand  other.pt" in printed and "https://example.org/x" in printed
    assert (tmp_path / "celeba_hq" / "file.pt").read_bytes() == CONTENT
    assert main(["fetch", "celeba_hq"]) == 0 and len(server.requests) == 1


def test_what_a_browser_must_do_is_said_before_the_network_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ASYRP_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["fetch", "afhq_dog"]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("by hand  afhq_dog_4m.pt") and len(printed.err.splitlines()) == 1


def test_an_unknown_name_lists_the_known_ones(capsys):
    with pytest.raises(UnknownNameError, match="celeba_hq, .*lpips"):
        list(fetch("mars"))
    assert main(["fetch", "mars"]) == 2
    assert capsys.readouterr().err.startswith("error: Nothing to fetch is called 'mars'")


# --- servers, disks and neighbours that misbehave ---


def test_two_fetches_at_once_bring_the_file_once_and_whole(server, tmp_path):
    server.go_on.clear()
    lines = []
    both = [threading.Thread(target=lambda: lines.append(get(server, tmp_path))) for _ in range(2)]
    both[0].start()
    assert server.begun.wait(10)
    both[1].start()
    both[1].join(0.3)  # it waits for the first, or begins a download of its own
    server.go_on.set()
    for thread in both:
        thread.join(10)
    assert sorted(line.split()[0] for line in lines) == ["fetched", "there"]
    assert (tmp_path / "file.pt").read_bytes() == CONTENT and len(server.requests) == 1


@pytest.mark.parametrize("etag", ['W/"v1"', "", "v1", '"a\tb"'])
def test_a_file_that_changes_midway_is_never_glued_without_a_strong_etag(server, tmp_path, etag):
    server.etag, server.cut = etag, [len(CONTENT) // 2]
    whole = server.finish_request

    def change_after(*request):
        whole(*request)
        server.content = CONTENT[::-1]

    server.finish_request = change_after
    get(server, tmp_path)
    assert (tmp_path / "file.pt").read_bytes() == CONTENT[::-1] and server.requests == [None, None]


def test_a_half_that_nothing_identifies_is_resumed_if_the_published_hash_will_tell(server, tmp_path):
    server.etag, server.cut = "", [len(CONTENT) // 2]
    get(server, tmp_path, sha256=SHA256)
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_half_that_cannot_be_resumed_is_not_kept(server, tmp_path):
    server.etag, server.cut = "", [100] * ATTEMPTS
    with pytest.raises(OfflineError, match="nothing was kept"):
        get(server, tmp_path)
    assert not [name for name in names(tmp_path) if name.endswith(".part")]


def test_a_wrong_part_is_answered_by_asking_for_the_whole(server, tmp_path):
    server.cut, server.shift = [len(CONTENT) // 2], 7
    get(server, tmp_path)
    assert (tmp_path / "file.pt").read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-", None]


def test_a_body_of_unknown_length_is_refused_unless_its_hash_is_published(server, tmp_path):
    server.length = None
    with pytest.raises(OfflineError, match="does not say how long"):
        get(server, tmp_path)
    get(server, tmp_path, sha256=SHA256)


@pytest.mark.parametrize("length", ["abc", "-5", "1e6", "", "9" * 40])
def test_a_length_that_is_no_number_is_one_sentence(server, tmp_path, length):
    server.length = lambda _: length
    with pytest.raises(OfflineError, match="the server says the length") as caught:
        get(server, tmp_path)
    assert "\n" not in str(caught.value) and names(tmp_path) == set()


@pytest.mark.parametrize(
    "record",
    ["", "{", "[]", '"text"', "3", "[" * 10**5, '{"net.pt": 3}', '{"net.pt": {}}']
    + [f'{{"net.pt": {{"sha256": {hash_}}}}}' for hash_ in ('""', "null", '"abc"')]
    + ['{"other.pt": {"sha256": ""}}'],
    ids=lambda text: text[:40],
)
def test_a_record_that_is_damaged_in_any_way_is_one_sentence(tmp_path, record):
    (tmp_path / "net.pt").write_bytes(b"weights")
    (tmp_path / RECORD).write_text(record)
    with pytest.raises(WeightsError, match="is damaged") as caught:
        verify(Remote("net.pt"), tmp_path, "toy")
    assert "\n" not in str(caught.value)


def test_what_the_disk_refuses_is_one_sentence_and_not_the_networks_fault(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(AsyrpError, match="(Not a directory|File exists)"):
        get(server, tmp_path / "file")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AsyrpError, match="No space left on device") as caught:
        get(server, tmp_path)
    assert not isinstance(caught.value, OfflineError) and len(server.requests) == 1


def test_weights_in_a_read_only_folder_are_used_with_a_warning(tmp_path, monkeypatch):
    (tmp_path / "net.pt").write_bytes(b"weights")

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkstemp", read_only)
    with pytest.warns(UserWarning, match="net.pt is not recorded, so that .*Read-only file system"):
        assert verify(Remote("net.pt"), tmp_path, "toy") == tmp_path / "net.pt"
