"""Ask a running server over many connections at once, and tell how many requests it answers in a second and how long they take.

hf-rnn serve outputs/nsmc-onnx --log_requests false &
python scripts/benchmark_serving.py --port 8000 --connections 64 --requests 20000
python scripts/benchmark_serving.py --port 8000 --connections 64 --requests 20000 --rate 700
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

from hf_rnn.data.files.readers import read_rows

REVIEWS = Path(__file__).parents[1] / "hf_rnn" / "samples" / "nsmc_test.tsv"


def requests(path: str, host: str) -> list[bytes]:
    """Return a request for each review of the samples."""
    heads = []
    for row in read_rows(str(REVIEWS)):
        body = json.dumps({"inputs": row["document"] or ""}, ensure_ascii=False).encode()
        heads.append(f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    return heads


async def answer(reader: asyncio.StreamReader) -> int:
    """Read an answer to its end; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(size)
    return int(head.split(b" ", 2)[1])


async def ask(arguments: argparse.Namespace, asked: Iterator[tuple[float, bytes]], times: list[float], failed: list[int]) -> None:
    """Ask over one connection as long as there are requests, each not before its time."""
    reader, writer = await asyncio.open_connection(arguments.host, arguments.port)
    for due, request in asked:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        # what waits for a connection that is free waits for its answer too
        start = due or time.perf_counter()
        writer.write(request)
        status = await answer(reader)
        times.append(time.perf_counter() - start)
        if status != 200:
            failed.append(status)
    writer.close()


async def measure(arguments: argparse.Namespace) -> None:
    """Ask, and print what was measured."""
    texts = requests(arguments.path, arguments.host)
    begin = time.perf_counter() + 0.1
    dues = ((begin + number / arguments.rate if arguments.rate else 0.0) for number in range(arguments.requests))
    asked = ((due, texts[number % len(texts)]) for number, due in enumerate(dues))
    times: list[float] = []
    failed: list[int] = []
    await asyncio.gather(*(ask(arguments, asked, times, failed) for _ in range(arguments.connections)))
    seconds = time.perf_counter() - begin
    times.sort()
    p50, p99 = (1000 * times[int(share * len(times))] for share in (0.5, 0.99))
    print(f"{len(times)} requests, {len(failed)} refused: {len(times) / seconds:.0f} a second; median {p50:.1f} ms, p99 {p99:.1f} ms")


def main() -> None:
    """Read options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--path", default="/predict")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; as many as there can be by default")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
