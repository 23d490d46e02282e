"""A device of your own for your tests: docs/client.md.

`with ScriptedDevice() as device:` starts a private Mosquitto and a daemon that needs no model. The fixtures
for pytest are in `edgeassist.testing.fixtures`.
"""

from edgeassist.testing.device import ScriptedDevice, calling, script

__all__ = ["ScriptedDevice", "calling", "script"]
