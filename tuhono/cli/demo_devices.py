"""Three devices for the story: one a protocol, each with a client somebody else wrote where there is one."""

import asyncio
import shutil
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ANSWER_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFiles:
    """What a device has been given."""

    name: str
    certificate: Path
    key: Path
    server_ca: Path  # to recognise the gateway by


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a device fared: whether its message was taken, with which program, and what that said."""

    taken: bool
    program: str
    said: str


async def publish_over_mqtt(device: DeviceFiles, port: int, payload: str, host: str = "localhost") -> Outcome:
    """One QoS 1 message to `telemetry`: mosquitto_pub, or aiomqtt where that is not installed."""
    if shutil.which("mosquitto_pub") is None:
        return await _publish_with_aiomqtt(device, port, payload, host)
    return await _run("mosquitto_pub", *mosquitto_arguments(device, port, payload, host))


async def post_over_http(device: DeviceFiles, port: int, payload: str) -> Outcome:
    """POST to /telemetry with QoS-Level 1, with aiohttp."""
    import aiohttp

    context = ssl.create_default_context(cafile=str(device.server_ca))
    context.load_cert_chain(device.certificate, device.key)
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    headers = {"content-type": "application/json", "QoS-Level": "1"}
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            url = f"https://localhost:{port}/telemetry"
            async with session.post(url, data=payload.encode(), headers=headers, ssl=context) as answer:
                said = f"{answer.status} {answer.reason} {await answer.text()}".strip()
                return Outcome(taken=answer.status == 202, program="aiohttp", said=said)
    except (aiohttp.ClientError, TimeoutError, OSError) as fault:
        return Outcome(taken=False, program="aiohttp", said=str(fault) or type(fault).__name__)


async def post_over_coap(device: DeviceFiles, port: int, payload: str) -> Outcome:
    """A confirmable POST to /telemetry over DTLS: coap-client-openssl, or our own few lines where there is none."""
    if shutil.which("coap-client-openssl") is None:
        from tuhono.cli.demo_dtls import post_telemetry

        return await asyncio.to_thread(post_telemetry, device, port, payload)
    outcome = await _run("coap-client-openssl", "-v", "6", *coap_arguments(device, port, payload))
    return Outcome(taken="2.04" in outcome.said, program=outcome.program, said=outcome.said)


def mosquitto_arguments(device: DeviceFiles, port: int, payload: str, host: str = "localhost") -> Sequence[str]:
    """Arguments of mosquitto_pub for one telemetry message."""
    certificates = ("--cafile", device.server_ca, "--cert", device.certificate, "--key", device.key)
    message = ("-q", "1", "-t", "telemetry", "-m", payload)
    return [str(word) for word in ("-h", host, "-p", port, *certificates, "-i", device.name, *message)]


def coap_arguments(device: DeviceFiles, port: int, payload: str) -> Sequence[str]:
    """Arguments of coap-client-openssl for one telemetry message."""
    certificates = ("-c", device.certificate, "-j", device.key, "-R", device.server_ca)
    request = ("-B", "5", "-m", "post", "-t", "50", "-e", payload)
    return [str(word) for word in (*request, *certificates, f"coaps://localhost:{port}/telemetry")]


async def _publish_with_aiomqtt(device: DeviceFiles, port: int, payload: str, host: str) -> Outcome:
    import aiomqtt

    context = ssl.create_default_context(cafile=str(device.server_ca))
    context.load_cert_chain(device.certificate, device.key)
    try:
        async with aiomqtt.Client(
            host, port, identifier=device.name, tls_context=context, timeout=ANSWER_WITHIN_S
        ) as client:
            await client.publish("telemetry", payload, qos=1)
        return Outcome(taken=True, program="aiomqtt", said="acknowledged")
    except (aiomqtt.MqttError, OSError) as fault:
        return Outcome(taken=False, program="aiomqtt", said=str(fault))


async def _run(program: str, *arguments: str) -> Outcome:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return Outcome(taken=False, program=program, said=f"no answer within {ANSWER_WITHIN_S:g} s")
    return Outcome(taken=process.returncode == 0, program=program, said=output.decode("utf-8", "replace").strip())
