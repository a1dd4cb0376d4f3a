"""A peer that says goodbye and goes on reading: the handler decides when the stream closes."""

import asyncio

import pytest

from tests.support.edge import TestBench
from tests.support.waiting import until


@pytest.mark.parametrize("has_more_to_say", [True, False])
async def test_a_handler_may_answer_behind_the_goodbye(bench: TestBench, has_more_to_say: bool) -> None:
    async with bench.stream_listener(secure=False) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        await until(lambda: bench.recorders)
        recorder = bench.recorders[0]
        recorder.has_more_to_say = has_more_to_say
        writer.write(b"hello")
        writer.write_eof()
        await until(lambda: recorder.has_ended)
        assert recorder.stream is not None and recorder.stream.is_closing is not has_more_to_say
        recorder.stream.write(b" and more")
        recorder.stream.close()
        assert await reader.read() == (b"hello and more" if has_more_to_say else b"hello")
        writer.close()
        await writer.wait_closed()
        await until(lambda: recorder.losses == [None])
