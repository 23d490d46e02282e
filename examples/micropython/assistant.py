"""Asks an EdgeAssist device from a microcontroller: MQTT 3.1.1, umqtt.simple, small packets.

Copy this file to the board beside umqtt.simple (`mpremote mip install umqtt.simple`); main.py shows its use.
"""

import json
import os
import socket
import time

import umqtt.simple

PACKET_BYTES = 512  # the largest packet that the device may send us
NETWORK_S = 5  # the longest wait for the broker: to connect, for an acknowledgement, for the rest of a packet
PING_S = 15  # how often to show the broker that we live; twice as long without a word, and the link is dead
# No room now: the device says when to ask again. Or it was restarted while it answered.
LATER = ("busy", "quota_exceeded", "model_loading", "interrupted")


class Failure(Exception):
    """No answer. `code` is the device's (docs/protocol.md), or "timeout"; `text` is what came before."""

    def __init__(self, code, message, retryable, text):
        super().__init__(code + ": " + message)
        self.code = code
        self.retryable = retryable
        self.text = text


class Assistant:
    """Connects when it is first asked, and again whenever the link breaks.

    `client` is this board's name, and its account at a broker with passwords. `idle` is called about a
    hundred times a second while an answer is awaited: to feed a watchdog, to blink.
    """

    def __init__(self, broker, device, client, password=None, port=1883, idle=None):
        self._root = "edgeassist/" + device
        self._name = client
        self._idle = idle or (lambda: None)
        self._mqtt = umqtt.simple.MQTTClient(
            client, broker, port, client if password else None, password, keepalive=2 * PING_S
        )
        self._mqtt.set_callback(self._heard)
        self._linked = False
        self._online = False
        self._answer = None
        # Nobody else's, and not one from before a restart either.
        self._boot = "".join("%02x" % byte for byte in os.urandom(4))
        self._count = 0

    def ask(self, prompt, limit_s=60, on_text=None, **fields):
        """Return the whole answer, or raise Failure, within `limit_s` (some NETWORK_S more with a dead link).

        `on_text` is called with all of the text so far whenever some came: draw it anew. `fields` are more of
        the request (docs/protocol.md, "Prompts"): system, max_tokens, …
        """
        self._count += 1
        name = "%s-%d" % (self._boot, self._count)
        fields.update(id=name, prompt=prompt, max_packet=PACKET_BYTES, end="short", timeout_s=limit_s)
        # As bytes: of a str, umqtt would send the number of its characters as its length.
        request = json.dumps(fields).encode()
        answer = self._answer = _Answer(name, on_text)
        until = _in_ms(1000 * limit_s)
        while answer.end is None:
            if _past(until):
                self._cancel(name)
                raise Failure("timeout", "no end within %s s" % limit_s, True, answer.text)
            try:
                self._connect()
                # Asked again by id, the device sends an answer that it has, and does not work twice.
                if self._online and answer.ask_at is not None and _past(answer.ask_at):
                    answer.ask_at = None
                    self._mqtt.publish(self._root + "/prompt/" + self._name, request, qos=1)
                self._listen()
            except Exception as problem:  # umqtt has IndexError and AssertionError for a broken link, too
                print("no link:", repr(problem))
                self._disconnect()
                time.sleep_ms(500)
            self._idle()
            time.sleep_ms(10)
        if answer.end["type"] == "error":
            end = answer.end
            raise Failure(end["code"], end.get("message", ""), end.get("retryable", False), answer.text)
        return answer.text

    def _connect(self):
        if not self._linked:
            umqtt.simple.socket = _Sockets  # what it opens has a time limit
            self._mqtt.connect()
            self._ping_at = _in_ms(1000 * PING_S)
            self._online = False  # until the status says so, which the broker keeps
            self._mqtt.subscribe(self._root + "/reply/" + self._name + "/+", qos=1)
            self._mqtt.subscribe(self._root + "/status", qos=1)
            self._linked = True

    def _disconnect(self):
        self._linked = False
        if self._mqtt.sock:
            self._mqtt.sock.close()

    def _listen(self):
        self._mqtt.check_msg()
        if _past(self._ping_at):
            if _past(self._mqtt.sock.dead_at):
                raise OSError("the broker is silent")
            self._mqtt.ping()
            self._ping_at = _in_ms(1000 * PING_S)

    def _cancel(self, name):
        try:
            self._mqtt.publish(self._root + "/command/cancel/" + self._name, name.encode())
        except Exception:
            pass  # the device has the limit, too
        self._answer = None

    def _heard(self, topic, message):
        if topic.endswith(b"/status"):
            was, self._online = self._online, message == b"online"
            if self._answer and self._online and not was:
                self._answer.ask_at = _in_ms(0)
            return
        event = json.loads(message)
        if self._answer and event["id"] == self._answer.id:
            self._answer.take(event)


class _Answer:
    def __init__(self, name, on_text):
        self.id = name
        self.text = ""
        self.end = None
        self.ask_at = _in_ms(0)
        self._on_text = on_text
        self._next = 0
        self._whole = True

    def take(self, event):
        kind, seq = event["type"], event["seq"]
        if seq == 0:  # from its beginning, perhaps for the second time
            self.text, self._next, self._whole = "", 0, True
        if seq < self._next:
            return  # twice
        self._whole = self._whole and seq == self._next
        self._next = seq + 1
        if kind == "chunk":
            self.text += event["text"]
            if self._on_text:
                self._on_text(self.text)
        elif kind == "done" and not self._whole:  # text was lost with a link: the device has all of it
            self._next = 0
            self.ask_at = _in_ms(0)
        elif kind == "error" and event["code"] in LATER:
            self._next = 0
            self.ask_at = _in_ms(event.get("retry_after_ms", 1000))
        elif kind in ("done", "error"):
            self.end = event


class _Socket:
    """umqtt sets its socket to block for ever after each first byte; this one blocks for NETWORK_S."""

    def __init__(self):
        self._socket = socket.socket()
        self._socket.settimeout(NETWORK_S)
        self.dead_at = _in_ms(2000 * PING_S)

    def settimeout(self, seconds):
        pass

    def setblocking(self, blocking):
        self._socket.settimeout(NETWORK_S if blocking else 0)

    def read(self, size):
        data = self._socket.read(size)
        if data:
            self.dead_at = _in_ms(2000 * PING_S)
        return data

    def connect(self, address):
        self._socket.connect(address)

    def write(self, *what):
        return self._socket.write(*what)

    def close(self):
        self._socket.close()


class _Sockets:
    getaddrinfo = socket.getaddrinfo
    socket = _Socket


def _in_ms(ms):
    return time.ticks_add(time.ticks_ms(), int(ms))


def _past(ticks):
    return time.ticks_diff(ticks, time.ticks_ms()) <= 0
