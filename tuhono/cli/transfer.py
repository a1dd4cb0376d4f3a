"""`tuhono tenant export` and `import`: a whole tenant in a file, one JSON object a line, the tenant first.

Here as elsewhere the operations of the management API do the work; on the databases here they run in this process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from tuhono.cli.context import AsJson, ConfigFile, DataDir, counter
from tuhono.cli.errors import FileUnusable, NotAllImported
from tuhono.cli.output import print_json, say, shown

if TYPE_CHECKING:
    from tuhono.cli.context import Counter

LINE_MAX_BYTES = 1024 * 1024
CHUNK_LINES = 250
CHUNK_MAX_BYTES = 2 * 1024 * 1024
EXPORT_PAGE_DEVICES = 500
FAILURES_SHOWN_MAX = 20


def export(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Tenant id.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; - is standard output.")],
    secrets: Annotated[
        bool, typer.Option("--secrets", help="With hashes of passwords and pre-shared keys: keep the file safe.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Write a tenant with all its devices to a file.

    One JSON object a line, readable by you alone. Without --secrets passwords and keys have to be set anew where it is
    imported; devices with certificates need nothing.
    """
    with counter(config, data_dir) as at, _written(file) as out:
        document = at.api.send("GET", f"/tuhono/v1/export/{_quoted(tenant)}/tenant").content
        out.write(document.strip() + b"\n")
        total = at.devices.count(tenant)
        with _progress("exported", total) as advance:
            for page in _pages(at, tenant, secrets=secrets):
                out.write(page)
                advance(page.count(b"\n"))
    if str(file) == "-":
        return
    if as_json:
        print_json({"tenant": tenant, "devices": total, "file": str(file)})
    else:
        say(f"exported tenant {tenant} with {total} devices to {file}")


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `tuhono tenant export` wrote; - is standard input.")
    ],
    tenant: Annotated[
        str | None, typer.Option("--as", metavar="TENANT", help="Import it under another tenant id.")
    ] = None,
    existing: Annotated[
        str, typer.Option(metavar="WHAT", help="What becomes of devices that are there already: fail, skip or replace.")
    ] = "fail",
    as_json: AsJson = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Create a tenant and its devices from a file.

    A tenant that is there already stays as it is, and is given the devices. Lines that cannot be done are told, and
    the others are done; safe to repeat with --existing skip.
    """
    if existing not in {"fail", "skip", "replace"}:
        raise typer.BadParameter("--existing is fail, skip or replace")
    with counter(config, data_dir, make=True) as at, _read(file) as (source, size):
        record = _record_of(source.readline(LINE_MAX_BYTES + 1), file)
        name = tenant or record["id"]
        made = _create_tenant(at, name, record["tenant"])
        outcome = {"created": 0, "replaced": 0, "skipped": 0, "failed": 0}
        failures: list[dict[str, Any]] = []
        path = f"/tuhono/v1/import/{_quoted(name)}?existing={existing}"
        with _progress("imported", size) as advance:
            for first_line, body in _chunks(source, file):
                answer = at.api.send("POST", path, body=body, content_type="application/x-ndjson").json
                for word in outcome:
                    outcome[word] += answer[word]
                failures += [{**failure, "line": failure["line"] + first_line - 1} for failure in answer["failures"]]
                del failures[FAILURES_SHOWN_MAX:]
                advance(len(body))
    if as_json:
        print_json({"tenant": name, "tenant-created": made, **outcome, "failures": failures})
    else:
        say(f"tenant {name} {'was created' if made else 'was there already, and stays as it is'}")
        say(", ".join(f"{count} {word}" for word, count in outcome.items()))
        for failure in failures:
            say(f"line {failure['line']}: {shown(failure['error'])} ({failure['code']})")
    if outcome["failed"]:
        raise NotAllImported(f"{outcome['failed']} lines of {file} were not imported")


def _pages(at: Counter, tenant: str, *, secrets: bool) -> Iterator[bytes]:
    after = ""
    while True:
        behind = f"&after={after}" if after else ""
        path = f"/tuhono/v1/export/{_quoted(tenant)}?limit={EXPORT_PAGE_DEVICES}&secrets={str(secrets).lower()}{behind}"
        answer = at.api.send("GET", path)
        if answer.content:
            yield answer.content
        after = answer.headers.get("next-after", "")  # encoded already
        if not after:
            return


def _create_tenant(at: Counter, name: str, document: dict[str, Any]) -> bool:
    """Whether it was not there."""
    from tenant.errors import TenantUnknown

    try:
        at.tenants.get(name)
    except TenantUnknown:
        at.api.send("POST", f"/v1/tenants/{_quoted(name)}", document=document)
        return True
    return False


def _record_of(line: bytes, file: Path) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if isinstance(record["id"], str) and isinstance(record["tenant"], dict):
            return dict(record)
    except (ValueError, KeyError, TypeError):
        pass
    raise FileUnusable(f"{file} does not begin with the line of a tenant, as `tuhono tenant export` writes it")


def _chunks(source: BinaryIO, file: Path) -> Iterator[tuple[int, bytes]]:
    """Lines in groups that one call takes, each with the number of its first line in the file."""
    lines: list[bytes] = []
    length, first, number = 0, 2, 2
    while line := source.readline(LINE_MAX_BYTES + 1):
        if len(line) > LINE_MAX_BYTES:
            raise FileUnusable(f"line {number} of {file} is longer than {LINE_MAX_BYTES} bytes")
        if lines and (len(lines) == CHUNK_LINES or length + len(line) > CHUNK_MAX_BYTES):
            yield first, b"".join(lines)
            lines, length, first = [], 0, number
        lines.append(line)
        length += len(line)
        number += 1
    if lines:
        yield first, b"".join(lines)


@contextmanager
def _written(file: Path) -> Iterator[BinaryIO]:
    """A file for what is secret: the owner's alone, and in its place only once it is whole."""
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    made = file.with_name(f".{file.name}.{os.getpid()}.part")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.replace(made, file)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


@contextmanager
def _read(file: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file, and how many bytes it has where that is known."""
    if str(file) == "-":
        yield sys.stdin.buffer, None
        return
    with file.open("rb") as source:
        yield source, os.fstat(source.fileno()).st_size


@contextmanager
def _progress(doing: str, total: int | None) -> Iterator[Any]:
    """A bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda amount: progress.advance(task, amount)


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
