"""`make bench-streams`: what Redraft's own client costs for each token, against a server that computes nothing.

A process of its own sends paced streams; this one reads them through the real chat client with guard and journal's
heartbeat, and counts its own CPU seconds. Prints a table; the share is of one core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import time
from concurrent.futures import ThreadPoolExecutor

from figures import table

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.chat import OpenAIChatModel
from tasks.types import ChatRequest, Message

WORDS = [
    "the",
    "a",
    "of",
    "lattice",
    "matrix",
    "return",
    "value",
    "index",
    "over",
    "under",
    "if",
    "then",
    "else",
    "while",
    "sum",
    "range",
    "list",
    "token",
    "proof",
    "lemma",
]


def serve(port: multiprocessing.Queue[int], tokens: int, rate: float) -> None:
    """An OpenAI-compatible server whose every answer is `tokens` words, `rate` a second."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le")
        )
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        chance, begun = random.Random(time.time_ns()), time.monotonic()  # noqa: S311 - words, not secrets
        for number in range(tokens):
            word = f"{chance.choice(WORDS)}{chance.randrange(100)} "
            writer.write(_event({"index": 0, "delta": {"content": word}, "finish_reason": None}))
            await writer.drain()
            await asyncio.sleep(max(0.0, begun + (number + 1) / rate - time.monotonic()))
        writer.write(_event({"index": 0, "delta": {}, "finish_reason": "stop"}))
        usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10}
        writer.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n")
        await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def _event(choice: dict[str, object]) -> bytes:
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "paced", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def measure(streams: int, tokens: int, rate: float) -> tuple[str, ...]:
    """Our CPU seconds for `streams` answers of `tokens` tokens each, at `rate` tokens a second a stream."""
    context = multiprocessing.get_context("spawn")
    port: multiprocessing.Queue[int] = context.Queue()
    server = context.Process(target=serve, args=(port, tokens, rate), daemon=True)
    server.start()
    try:
        model = OpenAIChatModel(
            base_url=f"http://127.0.0.1:{port.get(timeout=30)}/v1",
            model="paced",
            api_key="none",
            context_tokens=65_536,
            first_token_seconds=60,
            token_silence_seconds=60,
            extra={},
            engine="paced",
        )
        request = ChatRequest(messages=(Message(role="user", content="Go on."),), max_tokens=tokens)
        model.complete(request, SilentHeartbeat())  # imports and first connections are not what a token costs
        used, begun = time.process_time(), time.monotonic()
        with ThreadPoolExecutor(streams) as pool:
            made = sum(
                done.completion_tokens
                for done in pool.map(lambda _: model.complete(request, SilentHeartbeat()), range(streams))
            )
        seconds, cpu = time.monotonic() - begun, time.process_time() - used
    finally:
        server.kill()
        server.join()
    return (
        str(streams),
        f"{rate:g}",
        f"{made / seconds:.0f}",
        f"{cpu / made * 1000:.3f}",
        f"{cpu / made * 1000 * streams * rate / 1000:.1%}",
    )


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1200, help="of each stream")
    parser.add_argument("--rate", type=float, default=60.0, help="tokens a second of each stream")
    given = parser.parse_args()
    head = ("streams", "tok/s each", "tok/s seen", "CPU s per 1,000 tokens", "of a core at full rate")
    print(table(head, [measure(streams, given.tokens, given.rate) for streams in (1, 4, 16)]))


if __name__ == "__main__":
    main()
