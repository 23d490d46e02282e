"""HTTP for pulling: limits on every wait, errors that say what to do, secrets for one host only."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from edgeassist import __version__
from edgeassist.errors import CancelledRequestError, PullError

# For a connection, and for each read: a slow line is waited for, a dead one is not.
TIMEOUT_S = 30.0
# A list of files. Hugging Face gives a thousand a page.
_LIST_BYTES = 16 << 20
_LIST_S = 120.0
_MAX_WAIT_S = 60.0
# How soon a cancelled wait ends.
_CANCEL_S = 0.25
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What an address may hold as it is.
_WRITTEN = "!#$%&'()*+,/:;=?@[]~"
_WHOLE = re.compile(r"[0-9]{1,18}")
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_OFFLINE = (
    "without a network: copy a model's file to this device's folder of models (edgeassist models list names "
    "it), or stay with builtin:tiny; where only PyPI can be reached: edgeassist models pull "
    "smollm2-135m-instruct"
)


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; a password stays with its host, and what was encrypted stays so."""

    def http_error_302(self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """Follow a redirect; close the connection where it leads nowhere."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except urllib.error.HTTPError:
            raise
        except (ValueError, PullError):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(  # noqa: PLR0917 - the library's
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request that follows a redirect.

        Raises:
            PullError: It leads to where nothing is encrypted, or to no web server.
        """
        old, new = urlsplit(req.full_url), urlsplit(urljoin(req.full_url, newurl))
        if new.scheme not in {"http", "https"} or (old.scheme, new.scheme) == ("https", "http"):
            raise PullError(f"{old.hostname} leads to {new.scheme}://{new.hostname}, which is not encrypted")
        followed = super().redirect_request(req, fp, code, msg, headers, newurl)
        if followed is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            followed.remove_header("Authorization")
        return followed


class Web:
    """Requests that end: in an answer, an error, or because `cancelled` is set.

    Args:
        cancelled: Set by another thread to end what runs, but for the wait for a connection.
        timeout_s: The longest wait for a connection or for the next bytes.
    """

    def __init__(self, cancelled: threading.Event, timeout_s: float = TIMEOUT_S) -> None:
        self.cancelled = cancelled
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(Redirects())

    def check(self) -> None:
        """Raise `CancelledRequestError` where this was cancelled."""
        if self.cancelled.is_set():
            raise CancelledRequestError(
                "cancelled; what is there is kept, and pulling it again goes on from it"
            )

    def wait(self, seconds: float) -> None:
        """Wait before another attempt.

        Raises:
            CancelledRequestError: It was cancelled meanwhile.
        """
        self.cancelled.wait(min(seconds, _MAX_WAIT_S))
        self.check()

    @contextmanager
    def open(
        self, url: str, headers: Mapping[str, str] | None = None, token: str | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Open what is at an URL for reading.

        Args:
            url: `http` or `https`, with user and password where it has them.
            headers: Others than `Authorization`.
            token: A bearer's, for this host only.

        Raises:
            PullError: It can't be had.
            CancelledRequestError: It was cancelled.
        """
        self.check()
        plain, secret = without_password(url)
        if urlsplit(plain).scheme not in {"http", "https"} or not urlsplit(plain).hostname:
            raise PullError(f"{plain} is no address of a web server (https://…)")
        # As a person may write it: with spaces and letters of any alphabet.
        plain = quote(plain, safe=_WRITTEN)
        request = urllib.request.Request(plain, headers=dict(headers or {}))  # noqa: S310 - checked above
        request.add_header("User-Agent", f"edgeassist/{__version__}")
        request.add_header("Accept-Encoding", "identity")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        elif secret is not None:
            request.add_header("Authorization", f"Basic {secret}")
        with self.errors(plain):
            response = self._opener.open(request, timeout=self._timeout_s)
        with response, _ended_by(self.cancelled, response):
            yield response

    @contextmanager
    def errors(self, url: str) -> Iterator[None]:
        """Turn what goes wrong with a connection into a `PullError` that says what to do."""
        host = _split(url).netloc
        try:
            yield
        except urllib.error.HTTPError as error:
            with error:
                raise _of_status(error, url, host) from None
        except urllib.error.URLError as error:
            raise _of_connection(error.reason, host) from None
        except (OSError, http.client.HTTPException) as error:
            raise _of_connection(error, host) from None
        except (ValueError, OverflowError) as error:  # a host that can't be a name, a port that can't be one
            raise PullError(f"{host} leads to what is no address: {error}") from None

    def text(self, url: str, headers: Mapping[str, str] | None = None, token: str | None = None) -> Text:
        """Return a list of files, or the like, trying again where that may help.

        Raises:
            PullError: It can't be had.
        """
        for wait_s in (1.0, 3.0, None):
            try:
                with self.open(url, headers, token) as response, self.errors(url):
                    return Text(self._read(response), response.headers, url)
            except PullError as error:
                if not error.passing or wait_s is None:
                    raise
                self.wait(wait_s)
        raise AssertionError

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        data = bytearray()
        until = time.monotonic() + _LIST_S
        while block := response.read1(1 << 16):
            self.check()
            data += block
            if len(data) > _LIST_BYTES:
                raise PullError("what a server sent is longer than a list of files may be")
            if time.monotonic() > until:
                raise TimeoutError
        return bytes(data)


@contextmanager
def _ended_by(cancelled: threading.Event, response: http.client.HTTPResponse) -> Iterator[None]:
    """Hang up once this is cancelled: a thread that waits for a silent server can't be told otherwise."""
    if response.isclosed():
        yield
        return
    done = threading.Event()
    with socket.socket(fileno=os.dup(response.fileno())) as connection:

        def watch() -> None:
            while not done.wait(_CANCEL_S):
                if cancelled.is_set():
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                    return

        thread = threading.Thread(target=watch, name="pull-cancel", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


class Text:
    """What a server answered.

    Attributes:
        data: Its bytes.
        headers: Its headers; their names are compared without case.
    """

    def __init__(self, data: bytes, headers: Any, url: str) -> None:
        self.data = data
        self.headers = headers
        self._url = url

    def json(self) -> Any:
        """Return it as JSON.

        Raises:
            PullError: It is none.
        """
        try:
            document = json.loads(self.data)
            # Half of a surrogate pair may stand in JSON, and in no name or address.
            json.dumps(document, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise PullError(
                f"{without_password(self._url)[0]} does not answer as expected: is that the address of such "
                "a server, or does something in between ask for a login?"
            ) from None
        return document


def _of_status(error: urllib.error.HTTPError, url: str, host: str) -> PullError:
    if error.code in _BUSY:
        seconds = retry_after_s(error.headers.get("Retry-After"))
        return PullError(
            f"{host} is busy or has a fault ({error.code}); try again later",
            passing=True,
            retry_after_ms=None if seconds is None else int(1000 * seconds),
        )
    if error.code in {401, 403}:
        return RefusedError(f"{host} refuses {urlsplit(url).path} ({error.code})")
    if error.code in {404, 410}:
        return MissingError(f"there is no {urlsplit(url).path} at {host}")
    if error.code == 416:  # noqa: PLR2004 - range not satisfiable
        return OutOfRangeError(f"{host} has fewer bytes than were got of it before", passing=True)
    if error.code in _REDIRECTS:
        return PullError(f"{host} leads from one address to the next without an end ({error.code})")
    return PullError(f"{host} answers {error.code} {error.reason}")


class RefusedError(PullError):
    """A server wants to know who asks, or does not want this one."""


class MissingError(PullError):
    """A server has no such thing."""


class OutOfRangeError(PullError):
    """A server has less than what was to be gone on from."""


def _of_connection(reason: object, host: str) -> PullError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return PullError(
            f"the certificate of {host} can't be trusted: {reason.verify_message}; is this device's clock "
            "right? A mirror's own CA is named in SSL_CERT_FILE"
        )
    if isinstance(reason, socket.gaierror):
        return PullError(f"can't find {host}: no network, or no such name; {_OFFLINE}", passing=True)
    if isinstance(reason, TimeoutError):
        return PullError(f"{host} does not answer in time; try again later; {_OFFLINE}", passing=True)
    if isinstance(reason, OSError):
        text = reason.strerror or type(reason).__name__
        return PullError(f"can't reach {host}: {text}; {_OFFLINE}", passing=True)
    if isinstance(reason, http.client.InvalidURL):
        return PullError(f"{host} is no address: {reason}")
    return PullError(f"the connection to {host} broke off ({type(reason).__name__})", passing=True)


def retry_after_s(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` asks for: a number, or a date; None where it is neither."""
    if value is None:
        return None
    if (seconds := whole_number(value.strip())) is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def whole_number(text: str) -> int | None:
    """Return a count as headers have it; None for anything else, and for what no disk holds."""
    return int(text) if _WHOLE.fullmatch(text) else None


def without_password(url: str) -> tuple[str, str | None]:
    """Return an URL without user and password, and these as `Authorization: Basic` has them.

    Raises:
        PullError: It is no URL.
    """
    parts = _split(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    return urlunsplit(parts._replace(netloc=host)), b64encode(unquote(user).encode()).decode()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that there can't be
    except ValueError as error:
        raise _no_address(error) from None
    if parts.scheme in {"http", "https"} and not parts.hostname:
        raise _no_address("it names no host")
    return parts


def _no_address(error: object) -> PullError:
    return PullError(f"that is no address of a web server (https://…): {error}")
