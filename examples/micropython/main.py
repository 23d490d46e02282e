"""Asks what is typed at the board's console, and prints the answer as it comes."""

import time

from assistant import Assistant, Failure

WIFI = "my network"
WIFI_PASSWORD = "secret"
BROKER = "192.168.1.10"
PORT = 1883
DEVICE = "pi"  # the daemon's device.name
CLIENT = "esp32"  # this board's name; at a broker with passwords, its account
PASSWORD = None
LIMIT_S = 60


def join_wifi():
    try:
        import network
    except ImportError:  # MicroPython on a PC
        return
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    wlan.connect(WIFI, WIFI_PASSWORD)
    for _ in range(200):
        if wlan.isconnected():
            return
        time.sleep_ms(100)
    print("no Wi-Fi yet")


class Screen:
    """Stands for a display: gets all of the text so far, and prints what is new of it."""

    def __init__(self):
        self.shown = ""

    def draw(self, text):
        if not text.startswith(self.shown):  # the answer began anew
            print()
            self.shown = ""
        print(text[len(self.shown) :], end="")
        self.shown = text


join_wifi()
assistant = Assistant(BROKER, DEVICE, CLIENT, PASSWORD, PORT)
while True:
    try:
        prompt = input("you> ")
    except EOFError:
        break
    try:
        answer = assistant.ask(prompt, LIMIT_S, Screen().draw, max_tokens=200)
        print("\n(%d characters)" % len(answer))
    except Failure as failure:
        print("\n(%s)" % failure)
