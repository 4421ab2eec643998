"""What everybody writes first: one pymodbus client, one request per value, one meter after the other."""

from collections.abc import Callable, Sequence

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

Client = AsyncModbusTcpClient | AsyncModbusSerialClient


class OverError(Exception):
    """The time is over. A cancellation would not do: pymodbus makes an error of the request of it, and goes on."""


class NaiveLoop:
    """Reads each value of each unit by a request of its own."""

    def __init__(
        self,
        client: Client,
        units: Sequence[int],
        addresses: Sequence[int],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client, self._units, self._addresses, self._is_over = client, units, addresses, is_over
        self.requests = 0
        self.full_reads = dict.fromkeys(units, 0)

    async def sweep(self) -> list[float]:
        """All values that came, in one sweep; OverError when it is over before that."""
        values: list[float] = []
        for unit in self._units:
            came = [value for address in self._addresses if (value := await self._value(unit, address)) is not None]
            self.full_reads[unit] += len(came) == len(self._addresses)
            values += came
        return values

    async def _value(self, unit: int, address: int) -> float | None:
        if self._is_over():
            raise OverError
        self.requests += 1
        try:
            reply = await self._client.read_input_registers(address, count=2, device_id=unit)
        except ModbusException:
            if not self._client.connected:
                await self._client.connect()
            return None
        if reply.isError():
            return None
        return self._client.convert_from_registers(reply.registers, self._client.DATATYPE.FLOAT32)
