"""A PLC over Modbus TCP: `plc.py PORT`. Runs with the pymodbus of the tests' cache.

Prints each change as a line of JSON (`{"registers": [...], "alarm": true}`), and writes what comes on its
input (`{"0": 5, "1": 600}`: register and value).
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

UNIT, REGISTERS, COILS = 1, 16, 16
READ_COILS, READ_REGISTERS, WRITE_REGISTERS = 1, 3, 16
LOOK_S = 0.005


async def main() -> None:
    bits = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
    words = [SimData(0, count=REGISTERS, values=0, datatype=DataType.REGISTERS)]
    device = SimDevice(UNIT, (bits, list(bits), words, list(words)))
    server: Any = ModbusTcpServer(device, address=("127.0.0.1", int(sys.argv[1])))
    await server.serve_forever(background=True)
    inputs = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(inputs), sys.stdin
    )

    async def obey() -> None:
        async for line in inputs:
            for register, value in json.loads(line).items():
                await server.async_setValues(UNIT, WRITE_REGISTERS, int(register), [value])

    obeying = asyncio.create_task(obey())
    shown = None
    while not obeying.done():
        registers = await server.async_getValues(UNIT, READ_REGISTERS, 0, REGISTERS)
        alarm = (await server.async_getValues(UNIT, READ_COILS, 0, 1))[0]
        if (registers, alarm) != shown:
            shown = (registers, alarm)
            sys.stdout.write(json.dumps({"registers": registers, "alarm": alarm}) + "\n")
            sys.stdout.flush()
        await asyncio.sleep(LOOK_S)


asyncio.run(main())
