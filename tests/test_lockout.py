"""One wrong password of a recorder must not be tried for each of its cameras: accounts get locked."""

from __future__ import annotations

from streamwatch.lockout import ALONE_S, MAX_ACCOUNTS, Account, Lockout, account_of
from streamwatch.model.look import StreamKind
from streamwatch.model.report import Credentials, Ticket
from streamwatch.wire.url import Origin


def ticket(camera: int, url: str = "rtsp://192.0.2.7/1", password: str | None = "secret") -> Ticket:
    return Ticket(
        camera=camera,
        url=url,
        stream=StreamKind.MAIN,
        offset_ms=0,
        deadline_ms=20_000,
        host="192.0.2.7",
        credentials=None if password is None else Credentials("admin", password),
    )


def test_cameras_of_one_device_share_an_account() -> None:
    """The path does not matter, the port does: behind a router every port is another device."""
    assert account_of(ticket(1)) == account_of(ticket(2, "rtsp://192.0.2.7:554/2"))
    assert account_of(ticket(1)) != account_of(ticket(2, "rtsp://192.0.2.7:1554/2"))
    assert account_of(ticket(1, password=None)) is None


def test_an_account_holds_no_password() -> None:
    """Whoever prints or dumps it sees a salted number."""
    assert "secret" not in repr(account_of(ticket(1)))


def test_a_corrected_password_is_tried_at_once() -> None:
    """It is another account, for every camera."""
    lockout = Lockout()
    wrong, right = account_of(ticket(1)), account_of(ticket(2, password="better"))
    assert wrong is not None
    lockout.refused(wrong, 1, 0.0)
    assert lockout.withholds(wrong, 2, 1.0)
    assert not lockout.withholds(right, 2, 1.0)


def test_only_the_refused_camera_asks_on() -> None:
    """It is the one that finds out that the device was put right; the planner makes it ask ever more rarely."""
    lockout = Lockout()
    account = Account(Origin("rtsp", "192.0.2.7", 554), "admin", 7)
    assert not lockout.is_proven(account)
    lockout.refused(account, 1, 0.0)
    lockout.refused(account, 2, 0.5)  # it was under way already
    assert not lockout.withholds(account, 1, 1.0)
    assert lockout.withholds(account, 2, 1.0)
    assert not lockout.is_proven(account)
    lockout.let_in(account)
    assert not lockout.withholds(account, 2, 1.0)
    assert lockout.is_proven(account)


def test_another_camera_takes_over_from_one_that_is_gone() -> None:
    """After half an hour without a word of the one; and it alone then."""
    lockout = Lockout()
    account = Account(Origin("rtsp", "192.0.2.7", 554), "admin", 7)
    lockout.refused(account, 1, 0.0)
    assert lockout.withholds(account, 2, ALONE_S - 1)
    assert not lockout.withholds(account, 2, ALONE_S)
    lockout.refused(account, 2, ALONE_S)
    assert lockout.withholds(account, 1, ALONE_S + 1)
    assert lockout.withholds(account, 3, ALONE_S + 1)


def test_the_refused_camera_keeps_its_place_as_long_as_it_asks() -> None:
    """Each of its refusals holds the others back for another half hour."""
    lockout = Lockout()
    account = Account(Origin("rtsp", "192.0.2.7", 554), "admin", 7)
    for now in (0.0, ALONE_S - 1, 2 * ALONE_S - 2):
        lockout.refused(account, 1, now)
        assert lockout.withholds(account, 2, now + ALONE_S - 1)


def test_accounts_are_bounded() -> None:
    """Those not heard of for the longest time are forgotten first."""
    lockout = Lockout()
    origin = Origin("rtsp", "192.0.2.7", 554)
    for number in range(MAX_ACCOUNTS + 1):
        lockout.refused(Account(origin, "admin", number), 1, 0.0)
    assert not lockout.withholds(Account(origin, "admin", 0), 2, 1.0)
    assert lockout.withholds(Account(origin, "admin", 1), 2, 1.0)
