"""Asks EdgeAssist for a verdict on each part that a PLC makes, and fails safe.

The PLC counts CYCLE up when a part lies ready. The gateway reads its values over Modbus TCP, asks, and
writes verdict and cycle. Whatever goes wrong, no answer in time above all, the verdict is UNKNOWN and the
alarm is on. An answer that comes late, twice, or for another part changes nothing.

A language model gives advice: nothing that protects people may depend on it.
"""

import json
import logging
import math
import queue
import secrets
import signal
import time
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

BROKER = "localhost"
PORT = 1883
DEVICE = "pi"  # the daemon's device.name
CLIENT = "press-1"  # this gateway's name; at a broker with passwords, its account
PASSWORD = ""  # empty: no account
STATE_TOPIC = "plant/press-1/state"  # empty: publish none

PLC = "192.168.1.50"
PLC_PORT = 502
UNIT = 1
POLL_S = 0.1
DEADLINE_S = 2.0  # from the new cycle to the verdict

SYSTEM = "You check pressed parts. Normal: 55 to 65 degrees, 118 to 126 bar. Say only OK or REJECT."
PROMPT = "Part {cycle}: {temperature} degrees, {pressure} bar."
WORDS = {"OK": 1, "REJECT": 2}  # any other answer is none, and so is one of more tokens
MAX_TOKENS = 8
UNKNOWN, GOOD = 0, WORDS["OK"]

# Holding registers that the PLC writes, one behind the other: CYCLE, temperature and pressure in tenths.
CYCLE = 0
# Holding registers that the gateway writes. The PLC uses VERDICT only while FOR_CYCLE is its CYCLE, and
# takes it for UNKNOWN when HEARTBEAT has not changed for a second: else a dead gateway's word would stand.
VERDICT, FOR_CYCLE, HEARTBEAT = 10, 11, 12
ALARM = 0  # a coil: off only after a good part

log = logging.getLogger("gateway")


@dataclass
class Question:
    """What is asked about one part; `payload` stays as it is, since the same bytes are the same request."""

    id: str
    cycle: int
    payload: bytes
    until: float


class Assistant:
    """The link to the device. Paho's thread only fills a queue; the gateway decides."""

    def __init__(self) -> None:
        self._root = f"edgeassist/{DEVICE}"
        self._heard: queue.Queue[dict] = queue.Queue(100)
        self._online = False
        self._mqtt = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, CLIENT, protocol=mqtt.MQTTv5)
        if PASSWORD:
            self._mqtt.username_pw_set(CLIENT, PASSWORD)
        self._mqtt.on_connect = self._connected
        self._mqtt.on_message = self._message
        self._mqtt.reconnect_delay_set(1, 10)
        self._mqtt.connect_async(BROKER, PORT, keepalive=10)
        self._mqtt.loop_start()
        self.question: Question | None = None

    def ask(self, question: Question) -> None:
        """Ask, now or as soon as the device can hear it; a question replaces the one before."""
        self.question = question
        # Published without a link, it would wait in paho and be asked when nobody needs it any more.
        if self._mqtt.is_connected() and self._online:
            self._publish(question)

    def heard(self) -> list[dict]:
        """Return the events that have come since the last call."""
        return [self._heard.get_nowait() for _ in range(self._heard.qsize())]

    def give_up(self) -> None:
        """Forget the question; the device has the deadline, too, and cancels by itself."""
        self.question = None

    def tell(self, state: dict) -> None:
        """Publish the state, for whoever wants to see it."""
        if STATE_TOPIC and self._mqtt.is_connected():
            self._mqtt.publish(STATE_TOPIC, json.dumps(state), retain=True)

    def close(self) -> None:
        """Disconnect."""
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def _publish(self, question: Question) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = math.ceil(DEADLINE_S)  # no broker keeps it for later
        self._mqtt.publish(f"{self._root}/prompt/{CLIENT}", question.payload, qos=1, properties=properties)

    def _connected(self, client, _userdata, _flags, reason, _properties) -> None:
        log.info("broker: %s", reason)
        if not reason.is_failure:
            self._online = False  # until the status says so, which the broker keeps
            client.subscribe([(f"{self._root}/reply/{CLIENT}/+", 1), (f"{self._root}/status", 1)])

    def _message(self, _client, _userdata, message) -> None:
        if message.topic == f"{self._root}/status":
            was, self._online = self._online, message.payload == b"online"
            if self._online and not was and (question := self.question):
                self._publish(question)  # the device knows it by its id, and does not work twice
            return
        try:
            event = json.loads(message.payload)
            if isinstance(event, dict):
                self._heard.put_nowait(event)
        except (ValueError, queue.Full) as problem:  # an exception in here would end paho's thread
            log.warning("an event is lost: %r", problem)


class Line:
    """The PLC. Every method raises ModbusException where the PLC does not do it."""

    def __init__(self) -> None:
        self._plc = ModbusTcpClient(PLC, port=PLC_PORT, timeout=1, retries=0)
        self._beats = 0

    def read(self) -> tuple[int, float, float]:
        """Return cycle, temperature and pressure."""
        cycle, *tenths = self._done(
            self._plc.read_holding_registers(CYCLE, count=3, device_id=UNIT)
        ).registers
        return cycle, tenths[0] / 10, tenths[1] / 10

    def write(self, verdict: int, cycle: int) -> None:
        """Write verdict and cycle in one message, and the alarm: before bad news, after good."""
        if verdict != GOOD:
            self._alarm(on=True)
        self._done(self._plc.write_registers(VERDICT, [verdict, cycle], device_id=UNIT))
        if verdict == GOOD:
            self._alarm(on=False)

    def beat(self) -> None:
        """Show that the gateway lives."""
        self._beats = (self._beats + 1) % 65536
        self._done(self._plc.write_register(HEARTBEAT, self._beats, device_id=UNIT))

    def close(self) -> None:
        """Disconnect; the next call connects again."""
        self._plc.close()

    def _alarm(self, *, on: bool) -> None:
        self._done(self._plc.write_coil(ALARM, on, device_id=UNIT))

    def _done(self, response):
        if response.isError():
            raise ModbusException(str(response))
        return response


class Gateway:
    """`turn` does what is due; it never waits for an answer."""

    def __init__(self, line: Line, assistant: Assistant) -> None:
        self._line = line
        self._assistant = assistant
        self._boot = secrets.token_hex(4)  # an id of before a restart must not come again
        self._seen: int | None = None

    def turn(self) -> None:
        """Poll the PLC once, and act."""
        cycle, temperature, pressure = self._line.read()
        # At the start, and after the PLC was away: what lies there now gets no verdict.
        if self._seen is None:
            self._seen = cycle
            self._line.write(UNKNOWN, cycle)
        question = self._assistant.question
        if question and time.monotonic() >= question.until:
            self._decide(question, UNKNOWN, f"no answer within {DEADLINE_S} s")
        for event in self._assistant.heard():
            self._take(event)
        if cycle != self._seen:
            if missed := self._assistant.question:
                self._decide(missed, UNKNOWN, "the part went on")
            self._seen = cycle
            self._ask(cycle, temperature, pressure)
        self._line.beat()

    def lost(self) -> None:
        """Forget everything: the PLC was away, and nobody knows what it did meanwhile."""
        self._assistant.give_up()
        self._seen = None
        self._line.close()

    def stop(self) -> None:
        """Leave the line in the safe state."""
        self._line.write(UNKNOWN, self._seen or 0)

    def _ask(self, cycle: int, temperature: float, pressure: float) -> None:
        name = f"{CLIENT}-{self._boot}-{cycle}"
        request = {
            "id": name,
            "system": SYSTEM,
            "prompt": PROMPT.format(cycle=cycle, temperature=temperature, pressure=pressure),
            "stream": False,
            "priority": "high",
            "timeout_s": DEADLINE_S,
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
        }
        until = time.monotonic() + DEADLINE_S
        self._assistant.ask(Question(name, cycle, json.dumps(request).encode(), until))
        self._assistant.tell({"cycle": cycle, "temperature": temperature, "pressure": pressure})

    def _take(self, event: dict) -> None:
        question = self._assistant.question
        if question is None or event.get("id") != question.id:
            return  # late, twice, or somebody else's
        if event.get("type") == "done":
            text = str(event.get("text", ""))
            whole = event.get("finish_reason") == "stop"
            verdict = WORDS.get(text.strip(" .!\n").upper(), UNKNOWN) if whole else UNKNOWN
            self._decide(question, verdict, repr(text))
        elif event.get("type") == "error":
            self._decide(question, UNKNOWN, f"{event.get('code')}: {event.get('message')}")

    def _decide(self, question: Question, verdict: int, why: str) -> None:
        self._assistant.give_up()
        self._line.write(verdict, question.cycle)
        log.info("cycle %d: verdict %d (%s)", question.cycle, verdict, why)
        self._assistant.tell({"cycle": question.cycle, "verdict": verdict, "why": why})


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    stopped = False

    def stop(_number, _frame) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    line, assistant = Line(), Assistant()
    gateway = Gateway(line, assistant)
    while not stopped:
        try:
            gateway.turn()
        except (ModbusException, OSError) as problem:
            log.warning("PLC: %s", problem)
            gateway.lost()
            time.sleep(1)
        time.sleep(POLL_S)
    try:
        gateway.stop()
    except (ModbusException, OSError) as problem:
        log.warning("PLC: %s", problem)
    assistant.close()


if __name__ == "__main__":
    main()
