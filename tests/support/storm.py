"""A storm of first connections, from a process of its own: `python -m tests.support.storm PORT FOLDER COUNT`.

FOLDER holds ca.pem, device.key and device-N.pem. Prints `ready`, waits for a line, connects all of them in the
same instant over MQTT, prints a line per CONNACK with its code, and `done`. Connections stay until its input
ends.
"""

import asyncio
import ssl
import sys
from pathlib import Path

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01"  # and one character of client id


def context_of(folder: Path, number: int) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "ca.pem")
    context.load_cert_chain(folder / f"device-{number}.pem", folder / "device.key")
    return context


async def connect(port: int, context: ssl.SSLContext) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(CONNECT + b"c")
    answer = await reader.readexactly(4)
    tell(str(answer[3]))
    return writer


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(port: str, folder: str, count: str) -> None:
    contexts = [context_of(Path(folder), number) for number in range(int(count))]
    tell("ready")
    await asyncio.to_thread(sys.stdin.readline)
    connected = await asyncio.gather(*(connect(int(port), context) for context in contexts))
    tell("done")
    await asyncio.to_thread(sys.stdin.read)
    for writer in connected:
        writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
