"""Places of sessions that stay open, beside looks that want the same gates."""

from __future__ import annotations

from streamwatch.gates import Gate
from streamwatch.model.look import StreamKind
from streamwatch.model.report import Ticket
from streamwatch.watches.places import Places


def ticket(host: str, group: str | None = None) -> Ticket:
    return Ticket(
        camera=1, url="rtsp://h/1", stream=StreamKind.MAIN, offset_ms=0, deadline_ms=1, host=host, group=group
    )


def test_half_of_each_gate_is_left_to_looks() -> None:
    """The tighter one decides, nothing is taken where it says no, and all is as before once they are given back."""
    recorders, hosts = Gate(8), Gate(4)
    places = Places(((recorders, 8, lambda one: one.group), (hosts, 4, lambda one: one.host)))
    taken = [places.take(ticket("a", "nvr")) for _ in range(3)]
    assert [one is not None for one in taken] == [True, True, False]
    assert (recorders.taken("nvr"), hosts.taken("a"), places.at(ticket("a", "nvr"))) == (2, 2, 2)
    assert places.take(ticket("b", "nvr")) and places.take(ticket("c", "nvr"))
    assert places.take(ticket("d", "nvr")) is None and places.at(ticket("z", "nvr")) == 4
    for one in taken:
        places.leave(one or ())
    assert (recorders.taken("nvr"), hosts.taken("a")) == (2, 0)


def test_a_gate_that_looks_have_filled_gives_no_place() -> None:
    """Sessions do not wait for looks; who hangs on no recorder needs no place at one."""
    recorders, hosts = Gate(2), Gate(4)
    places = Places(((hosts, 4, lambda one: one.host), (recorders, 2, lambda one: one.group)))
    assert recorders.enter("nvr") and recorders.enter("nvr")
    assert places.take(ticket("a", "nvr")) is None
    assert hosts.taken("a") == 0 and not places.held
    assert places.take(ticket("a")) == ((hosts, "a"),)
