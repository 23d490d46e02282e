"""Asks a device and prints the answer as it comes.

python ask.py pi.local kitchen-pi "Turn on the kitchen light"
"""

import argparse
import sys

from edgeassist.client import Client, EdgeAssistError


def main() -> int:
    """Return the exit status: 0 answered, 75 worth trying again, 1 not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host", help="the broker")
    parser.add_argument("device", help="the device's name")
    parser.add_argument("prompt")
    parser.add_argument("--port", type=int)
    parser.add_argument("--username")
    parser.add_argument("--password")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds in all")
    given = parser.parse_args()
    try:
        with (
            Client(
                given.host,
                given.port,
                device=given.device,
                username=given.username,
                password=given.password,
            ) as client,
            client.stream(given.prompt, timeout_s=given.timeout) as stream,
        ):
            for text in stream:
                print(text, end="", flush=True)
            print()
            usage = stream.result().usage
            print(f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out", file=sys.stderr)
    except EdgeAssistError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 75 if error.retryable else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
