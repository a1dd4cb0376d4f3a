"""The programs Tuhono stands beside: mosquitto, nginx, libcoap's server, and the floor in C.

Each requires a client certificate, keeps nothing, and is otherwise as Debian sets it up, or does less: mosquitto
tells its log who came and went, as Tuhono does, and nginx writes no access log, as Tuhono has none.
"""

import getpass
import re
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.credentials import HOST
from benchmarks.servers.errors import ServerFailed, ServerMissing
from benchmarks.servers.process import ServerProcess, accepts, find_program, free_port, version_of
from benchmarks.servers.server import Site

_FLOOR_SOURCE = Path(__file__).with_name("floor.c")
_COMPILE_MAX_S = 60
_NGINX_REQUESTS = re.compile(r"requests\n *\d+ +\d+ +(\d+)")

_MOSQUITTO_CONFIGURATION = """
user {user}
listener {port} {host}
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
allow_anonymous true
persistence false
log_dest file {folder}/mosquitto.log
"""

_NGINX_CONFIGURATION = """
user {user};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    server {{
        listen {host}:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {ca};
        ssl_verify_client on;
        ssl_protocols TLSv1.3;
        location / {{ return 202; }}
    }}
    server {{
        listen {host}:{status_port};
        location / {{ stub_status; }}
    }}
}}
"""


class Neighbour:
    """A running reference program."""

    def __init__(
        self,
        name: str,
        *,
        version: str,
        process: ServerProcess,
        ports: dict[str, int],
        counted: Callable[[], dict[str, int]] = dict,
    ) -> None:
        self.name = name
        self.version = version
        self.ports = ports
        self.cpu_ns = process.cpu_ns
        self.settle = process.settle
        self.resident_bytes = process.resident_bytes
        self.stop = process.stop
        self.counted = counted


def start_mosquitto(site: Site) -> Neighbour:
    """MQTT over TLS."""
    program = find_program("mosquitto")
    port = free_port()
    configuration = _written(site, "mosquitto.conf", _MOSQUITTO_CONFIGURATION, port=port)
    return _started(
        "mosquitto",
        site,
        [program, "-c", configuration],
        ports={"mqtts": port},
        version=version_of([program, "-h"], "mosquitto version").partition(" (")[0],
        serves=lambda: accepts(port),
    )


def start_nginx(site: Site) -> Neighbour:
    """HTTP over TLS: `return 202` for whatever comes."""
    program = find_program("nginx")
    port, status_port = free_port(), free_port()
    configuration = _written(site, "nginx.conf", _NGINX_CONFIGURATION, port=port, status_port=status_port)
    return _started(
        "nginx",
        site,
        [program, "-p", site.folder, "-e", "stderr", "-c", configuration],
        ports={"https": port},
        version=version_of([program, "-v"], "nginx version"),
        serves=lambda: accepts(port),
        counted=_NginxCount(status_port).counted,
    )


def start_libcoap(site: Site) -> Neighbour:
    """CoAP over DTLS: a resource is made by the first PUT and replaced by the others."""
    program = find_program("coap-server-openssl")
    site.folder.mkdir(exist_ok=True)
    port = _pair_of_free_ports()
    files = site.files
    return _started(
        "libcoap",
        site,
        [program, "-v", "0", "-A", HOST, "-p", str(port), "-d", "10",
         "-c", files.certificate, "-j", files.key, "-C", files.ca, "-R", files.ca],
        ports={"coaps": port + 1},
        version=version_of([program, "-?"], "small CoAP").partition(" -")[0],
        serves=lambda: accepts(port + 1),  # it serves TLS there too
    )  # fmt: skip


def start_floor(site: Site) -> Neighbour:
    """MQTT and HTTP over TLS, as little of either as will do. Raises ServerMissing where C cannot be compiled."""
    site.folder.mkdir(exist_ok=True)
    program, port = site.folder / "floor", free_port()
    compiler = find_program("cc")
    try:
        subprocess.run(
            [compiler, "-O2", "-o", program, _FLOOR_SOURCE, "-lssl", "-lcrypto"],
            check=True,
            capture_output=True,
            timeout=_COMPILE_MAX_S,
        )
    except subprocess.CalledProcessError as fault:
        first = fault.stderr.decode(errors="replace").strip().splitlines()[:1]
        raise ServerMissing(f"the floor does not compile (Debian: libssl-dev): {first}") from fault
    return _started(
        "floor",
        site,
        [program, str(port), site.files.certificate, site.files.key, site.files.ca],
        ports={"mqtts": port, "https": port},
        version="floor on " + version_of(["openssl", "version"], "OpenSSL").partition(" (")[0],
        serves=lambda: accepts(port),
    )


def _started(
    name: str,
    site: Site,
    command: list[str | Path],
    *,
    ports: dict[str, int],
    version: str,
    serves: Callable[[], bool],
    counted: Callable[[], dict[str, int]] = dict,
) -> Neighbour:
    process = ServerProcess(command, core=site.core, log_file=site.folder / "log")
    try:
        process.wait_until(serves)
    except BaseException:
        process.stop()
        raise
    return Neighbour(name, version=version, process=process, ports=ports, counted=counted)


def _written(site: Site, name: str, template: str, **facts: object) -> Path:
    site.folder.mkdir(exist_ok=True)
    file = site.folder / name
    files = site.files
    file.write_text(
        template.format(
            user=getpass.getuser(),
            host=HOST,
            folder=site.folder,
            ca=files.ca,
            certificate=files.certificate,
            key=files.key,
            **facts,
        )
    )
    return file


class _NginxCount:
    """Requests that nginx has handled, without those that only asked for the count."""

    def __init__(self, status_port: int) -> None:
        self._url = f"http://{HOST}:{status_port}/"
        self._asked = 0

    def counted(self) -> dict[str, int]:
        with urllib.request.urlopen(self._url, timeout=5) as answer:
            found = _NGINX_REQUESTS.search(answer.read().decode())
        if found is None:
            raise ServerFailed("nginx does not tell how many requests it handled")
        self._asked += 1
        return {"requests": int(found[1]) - self._asked}


def _pair_of_free_ports() -> int:
    """The lower of two neighbouring ports that are free for UDP and TCP."""
    while True:
        port = free_port()
        wanted = [(p, kind) for p in (port, port + 1) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        if port < 65_535 and all(_is_free(p, kind) for p, kind in wanted):
            return port


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as sock:
        try:
            sock.bind((HOST, port))
        except OSError:
            return False
        return True
