"""Asks a device several things at once, and prints each answer's texts as they come.

python stream_async.py pi.local kitchen-pi "Turn on the light" "Is the window open?"
"""

import argparse
import asyncio
import sys

from edgeassist.client import AsyncClient, EdgeAssistError


async def show(client: AsyncClient, number: int, prompt: str) -> bool:
    """Ask, and return whether it was answered; the other questions do not suffer."""
    try:
        async with client.stream(prompt, timeout_s=120) as stream:
            async for text in stream:
                print(f"{number}: {text!r}", flush=True)
            answer = await stream.result()
    except EdgeAssistError as error:
        print(f"{number} failed: {error.code}: {error.message}", file=sys.stderr)
        return False
    print(f"{number} = {answer}", flush=True)
    return True


async def main() -> int:
    """Return the exit status: 0 if all were answered."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host", help="the broker")
    parser.add_argument("device", help="the device's name")
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    try:
        async with AsyncClient(given.host, given.port, device=given.device) as client:
            asked = (show(client, number, prompt) for number, prompt in enumerate(given.prompts, 1))
            return 0 if all(await asyncio.gather(*asked)) else 1
    except EdgeAssistError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
