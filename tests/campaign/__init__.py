"""A campaign: faults under load, and a count of what became of every prompt.

    python -m tests.campaign --faults engine,daemon,broker --rounds 100

**Accepted** is a prompt of which the device has said anything but a refusal (`accepted`, progress, text, an end), or,
with a durable daemon, one that the broker has acknowledged (PUBACK) to its publisher, if that broker then lived until
the device spoke. A prompt that only a dead broker knew of was not the device's to keep: it is counted by itself
(`unkept`), and so is an end that was said while its client was cut off, has a clean session and does not ask again
(`missed`): MQTT promises it nothing.
"""
