"""A campaign: faults under load, and a count of what became of every prompt.

    python -m tests.campaign --faults engine,daemon,broker --rounds 100

**Accepted** is a prompt of which the device has said anything but a refusal (`accepted`, progress, text, an
end), or, with a durable daemon, one that the broker has acknowledged (PUBACK) to its publisher, if that
broker then lived until the device spoke. A prompt that only a dead broker knew of was not the device's to
keep: it is counted by itself (`unkept`). So is the end of a prompt (`missed`) whose client alone was cut
off, has a clean session and does not ask again: MQTT promises it nothing. Of a fleet, so is that of one who
does not ask again, where a broker that keeps nothing died, and then a box: it has ends that wait to be said
again in its memory. A client of a fleet that asks again before the boxes have told each other who has its
request may be answered by two at once: then the order of events is not judged. Counted by itself, too, is
what a device lost that said at the time, in `health`, that it could not write it down, or was killed on a
full disk before it could say so (`undurable`).

`plan`, `asking`: who asks what, and which faults come in which order, from a seed. `link`, `load`: the
clients. `faults`, over a `stage`: what goes wrong. `ledger`, `verdict` (by the `rules`), `tally`: what was
heard, judged, counted. `campaign` does it, `report` tells of it.
"""
