"""POST /{kind}/import: the file as it is goes in, what the service says comes out; bounded, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from openpyxl import Workbook  # type: ignore[import-untyped]

from streamwatch.api.guard import MAX_BODY_BYTES, MAX_LIST_BYTES
from streamwatch.inventory.parsed import Change, ImportResult, ParsedFile, Rejection
from tests.api.world import World

CSV = "code,name,village,url\nC1,村口,V1,rtsp://u:geheim@10.0.0.1/a\n"


async def post(world: World, path: str, body: Any, key: str = "write.all", **headers: str) -> Any:
    async with world.client(key, **headers) as client:
        return await client.post(f"/api/v1{path}", content=body)


def workbook() -> bytes:
    """The same list as a workbook."""
    book, made = Workbook(), BytesIO()
    for line in CSV.splitlines():
        book.active.append(line.split(","))
    book.save(made)
    return made.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        CSV.encode(),
        CSV.encode("gb18030"),
        workbook(),
        '{"code":"C1","name":"村口","village":"V1","url":"rtsp://u:geheim@10.0.0.1/a"}\n'.encode(),
    ],
)
async def test_a_file_of_any_format_reaches_the_service_as_it_was_read(world: World, body: bytes) -> None:
    """CSV, GB18030, XLSX or JSON lines: what is asked of the service is the list, for the caller's regions."""
    answer = await post(world, "/cameras/import", body, "write.a")

    assert (answer.status_code, answer.json()) == (200, ImportResult().to_json())
    ((op, args),) = world.service.asked
    file = ParsedFile.from_bytes(args.pop("file"))
    assert (op, args) == ("import", {"kind": "cameras", "dry_run": False, "on_error": "skip", "region": 2})
    said = dict(zip(file.columns, file.rows[0].values, strict=True))
    assert (said["code"], said["name"], said["url"], said["password"]) == ("C1", "村口", "rtsp://10.0.0.1/a", "geheim")


async def test_the_answer_is_that_of_the_command(world: World) -> None:
    """Rejections, remarks and changes with line, column and remedy; the wishes are passed on."""
    result = ImportResult(
        created=1,
        changed=2,
        unchanged=3,
        rejected=(Rejection(2, "url", "x", "bad_url", "give one"),),
        rejected_total=4,
        remarks=(Rejection(3, None, "", "empty_line", "remove it"),),
        remarks_total=5,
        changes=(Change("C1", ("name",)),),
        dry_run=True,
        stopped=True,
    )
    world.service.answers["import"] = result.to_json()
    answer = await post(world, "/villages/import?dry_run=true&on_error=stop", "code,name,region\nV1,a,b\n")

    assert ImportResult.from_json(answer.json()) == result
    args = world.service.asked[0][1]
    assert (args["dry_run"], args["on_error"]) == (True, "stop")


async def test_what_is_no_list_is_named(world: World) -> None:
    """Empty, or an old workbook: 422 says what to do; a form is 415 and says how to send the file."""
    for body in (b"", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        answer = await post(world, "/cameras/import", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "import.unreadable")
    form = await post(world, "/cameras/import", b"--x", **{"content-type": "multipart/form-data; boundary=x"})
    assert (form.status_code, form.json()["code"]) == (415, "request.media_type")
    assert "--data-binary" in form.json()["detail"]
    assert world.service.asked == []


async def test_a_list_may_be_larger_than_other_bodies_but_not_endless(world: World) -> None:
    """A city's list is 50 MB; only this route takes more than the others, and it has a bound too, said or not."""
    line = b"C%d," + b"x" * 200 + b",V1,rtsp://10.0.0.1/a\n"
    body = b"code,name,village,url\n" + b"".join(line % number for number in range(MAX_BODY_BYTES // 200))
    assert (await post(world, "/cameras/import", body)).status_code == 200

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_LIST_BYTES // 2**20 + 1):
            yield bytes(2**20)

    declared = await post(world, "/cameras/import", b"", **{"content-length": str(MAX_LIST_BYTES + 1)})
    undeclared = await post(world, "/cameras/import", endless())
    elsewhere = await post(world, "/maintenance", body)
    for answer, most in ((declared, MAX_LIST_BYTES), (undeclared, MAX_LIST_BYTES), (elsewhere, MAX_BODY_BYTES)):
        assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")
        assert str(most) in answer.json()["detail"]
    assert len(world.service.asked) == 1


async def test_nobody_makes_the_service_read_a_list_without_permission(world: World) -> None:
    """The body is not taken before it is known who asks."""
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield bytes(2**20)

    assert (await post(world, "/cameras/import", body(), "read.all")).status_code == 403
    assert taken <= 1


async def test_one_list_at_a_time(world: World) -> None:
    """The second caller is told to wait, and can come again when the first is done."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        arrived.set()
        await go_on.wait()
        yield CSV.encode()

    first = asyncio.create_task(post(world, "/cameras/import", slow()))
    await arrived.wait()
    second = await post(world, "/cameras/import", CSV)
    go_on.set()

    assert (second.status_code, second.json()["code"]) == (409, "import.running")
    assert (await first).status_code == 200
    assert (await post(world, "/cameras/import", CSV)).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/cats/import", 404), ("/import", 404)])
async def test_there_are_six_kinds(world: World, path: str, status: int) -> None:
    """Another word is no route."""
    assert (await post(world, path, CSV)).status_code == status
