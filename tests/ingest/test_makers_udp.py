"""How makers' devices send by UDP, over real sockets. Each test says: what they do: what we do about it."""

from __future__ import annotations

from streamwatch.model.look import Transport
from tests.ingest.test_udp_session import PACKETS, hear
from tests.ingest.udp_camera import Plan, udp_camera


async def test_any_datagrams_from_another_port_than_server_port() -> None:
    """Datagrams from another port than the `server_port` of SETUP: taken, as long as the host is the camera's."""
    with udp_camera(Plan(PACKETS)) as camera:  # it sends from a socket of its own, never from server_port
        heard, _ = await hear(camera, transport=Transport.UDP)

    assert heard.keyframe is not None and heard.failure is None
