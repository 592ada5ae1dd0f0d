"""The devices of a running farm that are more than their place in the lists, and the listeners of all."""

from __future__ import annotations

import socket

from streamwatch.errors import ConfigError
from streamwatch.simulator.camera import NO_FILES_S, Camera, House, accept_from
from streamwatch.simulator.devices import Devices
from streamwatch.simulator.machine import free_port, wide_listener

PORT_TRIES = 20
ACCEPTS_A_TURN = 16  # connections of a wide farm, taken before the loop may do something else
KEPT = 20_000  # idle devices of a wide farm that stay made up, about 1 KB each


class Site:
    """Every address of `devices` open, by listeners of their own or by one for all where the house is wide; `port` is
    that of all, 0 before `open`."""

    def __init__(self, devices: Devices, house: House) -> None:
        self._devices, self._house = devices, house
        self._listener: socket.socket | None = None  # of a wide farm
        self._made: dict[int, Camera] = {}
        self.port = 0

    def device(self, index: int) -> Camera:
        """The device at that address of the network, cameras before recorders; made anew where nobody has used it, and
        not kept for that. Only after `open`."""
        made = self._made.get(index)
        return self._devices.make(index, self._house, self.port) if made is None else made

    def keep(self, device: Camera) -> None:
        """It is from now on more than its place in the lists."""
        self._made[self._devices.addresses.find(device.address)] = device

    def open(self, port: int) -> None:
        """Opens all devices, the cameras at the first addresses, at this port, or with 0 at one that is free on all.

        Raises ConfigError, and nothing stays open, where an address or a port is not to be had.
        """
        free_port(self._devices.addresses[0])  # says so where it is not ours
        for attempt in range(PORT_TRIES):
            self.port = port or free_port(self._devices.addresses[0])
            place = f"0.0.0.0:{self.port}"
            try:
                if self._house.wide:
                    self._listener = wide_listener(self.port, loopback=self._devices.addresses.loopback)
                    self._listen()
                for index in range(0 if self._house.wide else len(self._devices)):
                    device = self._made[index] = self.device(index)
                    place = f"{device.address}:{device.port}"
                    device.open()
            except OSError as error:
                self.close()
                if port == 0 and attempt + 1 < PORT_TRIES:
                    continue  # somebody has that port on one of the addresses
                raise ConfigError(
                    f"cannot listen on {place} ({error.strerror}): every camera needs an address of "
                    "its own; Linux has all of 127.0.0.0/8, elsewhere add some to an interface and name them by --bind"
                ) from error
            return

    def close(self) -> None:
        """Closes all devices and listeners; may be called twice."""
        for device in self._made.values():
            device.close()
        self._made.clear()
        if self._listener is not None:
            self._house.board.ignore(self._listener)
            self._listener.close()
            self._listener = None

    def sweep(self, now: float) -> None:
        """Cuts sessions that are abandoned and, of a wide farm that has made many, forgets who is idle."""
        for device in list(self._made.values()):
            device.sweep(now)
        if self._house.wide and len(self._made) > KEPT:
            self._made = {index: device for index, device in self._made.items() if not device.idle}

    def _listen(self) -> None:
        """A wide farm takes connections."""
        if self._listener is not None:
            self._house.board.listen(self._listener, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        if not accept_from(self._listener, self._take, ACCEPTS_A_TURN):  # the loop would call again at once, for ever
            self._house.board.ignore(self._listener)
            self._house.board.at(self._house.board.time() + NO_FILES_S, self._listen)

    def _take(self, file: int) -> None:
        """A connection belongs to the device whose address it was made to."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=file)
        try:
            index = self._devices.addresses.find(connection.getsockname()[0])
        except OSError:
            index = -1
        if not 0 <= index < len(self._devices):
            connection.close()
            return
        connection.detach()
        device = self._made.get(index)
        if device is None:
            device = self._made[index] = self.device(index)
        device.take(file)
