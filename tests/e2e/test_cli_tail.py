"""`tuhono tail` as an application and an operator use it, beside a gateway that runs."""

import base64
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.conftest import find_tool
from tests.support.certificates import Paths, make_ca
from tests.support.command_line import clean_environment, command, tuhono
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until_blocking

FOLLOW_WITHIN_S = 5.0  # a busy machine's second


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("tail")) as running:
        yield running


class Plant:
    """A tenant of its own, with a device that says things."""

    def __init__(self, gateway: RunningGateway, name: str) -> None:
        self.gateway = gateway
        self.name = name
        self.ca = make_ca(f"CN=CA,O={name}")
        gateway.trust(name, self.ca, may_auto_provision=True)
        self.device = gateway.files(self.ca.issue(f"CN=dev,O={name}"))
        self.impostor = gateway.files(make_ca(f"CN=CA,O={name}").issue(f"CN=dev,O={name}"))

    def say(self, *payloads: str, device: Paths | None = None) -> None:
        """Each kept when this returns. QoS-Level 1."""
        url = self.gateway.curl(device or self.device, "/telemetry")
        for payload in payloads:
            done = subprocess.run(
                [find_tool("curl"), *url, "-H", "QoS-Level: 1", "-H", "Content-Type: text/plain", "-d", payload],
                capture_output=True,
                timeout=30,
            )
            assert b" 202 " in done.stdout, done

    def is_refused(self) -> None:
        before = len(self.refusals())
        subprocess.run(
            [find_tool("curl"), *self.gateway.curl(self.impostor, "/telemetry"), "-d", "x"], capture_output=True
        )
        until_blocking(lambda: len(self.refusals()) > before)

    def refusals(self) -> list[str]:
        return [row.code or "" for row in self.gateway.audit("device.refused") if row.tenant_id == self.name]

    def tail(self, *words: object) -> list[dict[str, Any]]:
        said = tuhono("tail", self.name, "--json", "--no-follow", *words, data_dir=self.gateway.data_dir)
        assert (said.status, said.err) == (0, "")
        return said.lines


@pytest.fixture
def plant(gateway: RunningGateway, request: pytest.FixtureRequest) -> Plant:
    return Plant(gateway, request.node.name.replace("[", "-").replace("]", "")[-60:])


def payloads(entries: list[dict[str, Any]]) -> list[str]:
    return [base64.b64decode(entry["payload"]).decode() for entry in entries if entry["kind"] == "telemetry"]


def said(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without positions: they tell how far their reader has come in both sources, wherever it began."""
    return [{name: fact for name, fact in entry.items() if name != "position"} for entry in entries]


@contextmanager
def follow(gateway: RunningGateway, *words: object) -> "Iterator[subprocess.Popen[str]]":
    """One that is gone at the end, whatever happens."""
    with subprocess.Popen(
        command("tail", "--json", *words, data_dir=gateway.data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.needs_tool("curl")
def test_an_entry_has_all_an_application_and_an_operator_need(plant: Plant) -> None:
    plant.say("hello")
    plant.is_refused()
    registered, said, refused = plant.tail("--since", "0")
    [device_id] = plant.gateway.device_ids(plant.name)
    assert (registered["kind"], registered["device"]) == ("provisioning", device_id)
    assert registered["properties"]["hono_registration_status"] == "NEW"
    assert (said["kind"], said["tenant"], said["device"]) == ("telemetry", plant.name, device_id)
    assert (said["content_type"], said["payload"], said["qos"]) == ("text/plain", "aGVsbG8=", 1)
    assert said["properties"]["orig_adapter"] == "hono-http"
    assert refused["kind"] == "refusal"
    assert (refused["code"], refused["tenant"], refused["device"]) == ("signature-invalid", plant.name, None)
    assert refused["subject"] == f"CN=dev,O={plant.name}"
    assert refused["issuer"] == f"CN=CA,O={plant.name}"
    assert len(refused["fingerprint"]) == 64
    assert int(refused["serial"], 16)
    assert refused["remote"].startswith("127.0.0.1:")
    assert refused["adapter"] == "hono-http"
    assert refused["detail"]
    for entry in (registered, said, refused):
        assert time.time() - 60 < _timestamp(entry) < time.time() + 5
        assert entry["time"].endswith("+00:00")


def _timestamp(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["time"]).timestamp()


@pytest.mark.needs_tool("curl")
def test_reading_half_and_resuming_misses_and_repeats_nothing(plant: Plant) -> None:
    for number in range(4):
        plant.say(f"{number}-a", f"{number}-b")
        plant.is_refused()
    whole = plant.tail("--since", "0")
    assert payloads(whole) == [f"{number}-{letter}" for number in range(4) for letter in "ab"]
    assert len(whole) == 1 + 8 + 4
    for index, entry in enumerate(whole):
        assert plant.tail("--since", entry["position"]) == whole[index + 1 :]
    assert said(plant.tail("-n", 5)) == said(whole[-5:])
    assert said(plant.tail("-n", 1000)) == said(whole)
    assert said(plant.tail("--since", "2000-01-01")) == said(whole)
    assert said(plant.tail("--since", whole[6]["time"]))[-len(whole[6:]) :] == said(whole[6:])
    assert plant.tail("--since", "9000-01-01") == []


@pytest.mark.needs_tool("curl")
def test_a_reader_killed_at_any_moment_resumes_behind_the_last_line_it_printed(plant: Plant) -> None:
    """While devices keep talking: what three readers saw one after the other is what there is."""
    plant.say("first")
    texts = [f"m-{number}" for number in range(24)]
    seen: list[dict[str, Any]] = []
    with ThreadPoolExecutor(2) as devices:
        talking = [devices.submit(plant.say, *texts[::2]), devices.submit(plant.say, *texts[1::2])]
        since = "0"
        for wanted in (7, 7, 12):  # registered, first, and the 24
            with follow(plant.gateway, plant.name, "--since", since) as reader:
                assert reader.stdout is not None
                seen += map(json.loads, islice(reader.stdout, wanted))
                reader.kill()
            since = seen[-1]["position"]
        for one in talking:
            one.result()
    assert len(seen) == 26
    assert seen == plant.tail("--since", "0")
    assert sorted(payloads(seen)) == sorted([*texts, "first"])


@pytest.mark.needs_tool("curl")
def test_a_follower_sees_what_happens_soon_and_only_its_tenants(plant: Plant, gateway: RunningGateway) -> None:
    other = Plant(gateway, f"{plant.name}-other")
    lines: list[dict[str, Any]] = []
    with follow(gateway, plant.name, "-n", 0) as reader:
        assert reader.stdout is not None
        listening = Thread(target=lambda: lines.extend(map(json.loads, reader.stdout or ())))
        listening.start()
        while not lines:  # until it is up
            plant.say("wakes")
        for number in range(3):
            plant.is_refused()
            other.say("theirs")
            other.is_refused()
            began = time.monotonic()
            plant.say(f"mine-{number}")
            until_blocking(lambda sought=f"mine-{number}": sought in payloads(lines))  # type: ignore[misc]
            assert time.monotonic() - began < FOLLOW_WITHIN_S
        reader.send_signal(signal.SIGINT)
        assert reader.wait(10) == 0, "Ctrl-C is how following ends"
        listening.join(10)
        assert reader.stderr is not None and reader.stderr.read() == ""
    assert {entry["tenant"] for entry in lines} == {plant.name}
    assert [entry["kind"] for entry in lines].count("refusal") == 3


@pytest.mark.needs_tool("curl")
def test_a_named_consumer_goes_on_where_it_left_off(plant: Plant) -> None:
    name = f"billing-{plant.name}"
    plant.say("a")
    plant.is_refused()
    first = plant.tail("--consumer", name)
    assert [entry["kind"] for entry in first] == ["provisioning", "telemetry", "refusal"]
    assert plant.tail("--consumer", name) == []
    plant.say("b")
    plant.is_refused()
    assert [entry["kind"] for entry in plant.tail("--consumer", name)] == ["telemetry", "refusal"]
    assert plant.tail("--consumer", name) == []
    assert len(plant.tail("--consumer", f"{name}-2")) == 5
    both = tuhono("tail", "--consumer", name, "--since", "0", "--json", data_dir=plant.gateway.data_dir)
    assert (both.status, both.fault["error"]) == (2, "usage")
    long = tuhono("tail", "--consumer", "x" * 300, "--json", "--no-follow", data_dir=plant.gateway.data_dir)
    assert (long.status, long.fault["error"]) == (1, "too-many-cursors")


@pytest.mark.needs_tool("curl")
def test_a_consumer_killed_at_work_misses_nothing(plant: Plant) -> None:
    """It may read again what it had not yet told us it read."""
    name = f"fragile-{plant.name}"
    plant.say(*[str(number) for number in range(6)])
    seen: set[str] = set()
    whole = plant.tail("--since", "0")
    for _ in range(3):
        with follow(plant.gateway, plant.name, "--consumer", name) as reader:
            assert reader.stdout is not None
            if len(seen) < len(whole):
                seen.add(json.loads(reader.stdout.readline())["position"])
            reader.kill()
            seen |= {json.loads(line)["position"] for line in reader.stdout if line.endswith("\n")}
    seen |= {entry["position"] for entry in plant.tail("--consumer", name)}
    assert {position.partition(".")[0] for position in seen} == {entry["position"].partition(".")[0] for entry in whole}


@pytest.mark.needs_tool("curl")
def test_a_tenant_that_is_gone_is_still_read_and_one_that_never_was_is_unknown(plant: Plant) -> None:
    plant.say("last words")
    plant.gateway.tenants.delete(plant.name, plant.gateway.deed())
    assert payloads(plant.tail()) == ["last words"]
    said = tuhono("tail", "nobody", "--json", "--no-follow", data_dir=plant.gateway.data_dir)
    assert (said.status, said.fault["error"]) == (1, "tenant-unknown")


@pytest.mark.parametrize("since", ["garbage", "", "1.2.3", "-1", "2026-13-01", "0001-01-01", "9" * 30, "999999", "٣"])
def test_what_is_neither_position_nor_time_is_refused(gateway: RunningGateway, since: str) -> None:
    said = tuhono("tail", "--no-follow", "--json", f"--since={since}", data_dir=gateway.data_dir)
    assert (said.status, said.fault["error"]) == (1, "place-invalid")


@pytest.mark.needs_tool("curl")
def test_a_reader_that_has_enough_ends_it_quietly(plant: Plant) -> None:
    plant.say(*[str(number) for number in range(5)])
    for words in ([], ["--json"]):
        with subprocess.Popen(
            command("tail", plant.name, "--since", "0", *words, data_dir=plant.gateway.data_dir),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(),
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            plant.say("one more")  # to a reader that is gone
            assert process.wait(20) in {0, 1}
            assert process.stderr.read() == b""


@pytest.mark.needs_tool("curl")
def test_on_a_terminal_it_is_in_colour_and_stays_one_line_an_entry(plant: Plant) -> None:
    plant.say("hello\x1b[2Jworld")
    ours, theirs = pty.openpty()
    environment = {**clean_environment(), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        command("tail", plant.name, "--no-follow", data_dir=plant.gateway.data_dir), stdout=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # how a terminal says that nobody writes to it any more
        pass
    finally:
        os.close(ours)
    assert process.wait(20) == 0
    assert shown.count(b"\r\n") == 2
    assert b"\x1b[36mtelemetry" in shown
    assert b"\x1b[2J" not in shown


def test_before_the_gateways_first_message_there_is_nothing_to_read(tmp_path: Path) -> None:
    tuhono("tenant", "create", "acme", data_dir=tmp_path)
    for words in (["--since", "0"], ["-n", "5"], ["acme"], ["--since", "2000-01-01"], ["--consumer", "x"]):
        said = tuhono("tail", "--no-follow", *words, data_dir=tmp_path)
        assert (said.status, said.out, said.err) == (0, "", "")
