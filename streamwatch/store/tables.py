"""The schema, once, for SQLite and PostgreSQL. Instants are BIGINT microseconds UTC; `migrations/` follows it.

Conventions: `*_us` microseconds; ids are internal and permanent, codes are text and unique in their kind; nothing that
was booked is ever deleted by a change of the inventory (`removed_us` ends an object's time in service).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite gives rowids only to INTEGER keys

region = Table(
    "region",
    metadata,
    Column("id", Id, primary_key=True),
    Column("code", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("parent", Id, ForeignKey("region.id"), index=True),
)

village = Table(
    "village",
    metadata,
    Column("id", Id, primary_key=True),
    Column("code", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("region", Id, ForeignKey("region.id"), nullable=False, index=True),
    Column("households", Integer),
    Column("population", Integer),
    Column("police_station", Text),
    Column("unit", Text),
    Column("unit_phone", Text),
    Column("monitor_centre", Boolean),
    Column("joined_on", String(10)),  # ISO date, the village's calendar
    Column("created_us", BigInteger, nullable=False),
    Column("removed_us", BigInteger),
)

camera = Table(
    "camera",
    metadata,
    Column("id", Id, primary_key=True),
    Column("code", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("village", Id, ForeignKey("village.id"), nullable=False, index=True),
    Column("url", Text, nullable=False),  # never with credentials in it
    Column("sub_url", Text),
    Column("vendor", Text),
    Column("channel", Text),
    Column("username", Text),
    Column("password_sealed", LargeBinary),  # AES-256-GCM, bound to this camera's code (streamwatch/secrets.py)
    Column("allow_basic", Boolean),  # NULL: no
    Column("recorder", String(64)),
    Column("recorder_channel", Text),
    Column("line", String(64)),
    Column("interval_s", Integer),  # NULL: the schedule's own
    Column("retention_days", Integer),
    Column("longitude", Float),
    Column("latitude", Float),
    Column("datum", Text),
    Column("position_type", Text),
    Column("key_point", Boolean),
    Column("installed_on", String(10)),  # ISO date, the village's calendar
    Column("installed_us", BigInteger, nullable=False),  # in service from here
    Column("created_us", BigInteger, nullable=False),
    Column("removed_us", BigInteger),
)

camera_stay = Table(
    "camera_stay",  # where a camera was before it was moved: its history stays with that village (half open)
    metadata,
    Column("camera", Id, ForeignKey("camera.id"), primary_key=True),
    Column("from_us", BigInteger, primary_key=True),
    Column("to_us", BigInteger, nullable=False),  # since the last of them it is in camera.village
    Column("village", Id, ForeignKey("village.id"), nullable=False, index=True),
    sqlite_with_rowid=False,
)

line = Table(
    "line",
    metadata,
    Column("id", Id, primary_key=True),
    Column("code", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("parent", String(64)),  # code of the line that this one hangs on
    Column("kbps", Integer),
    Column("provider", Text),
    Column("circuit", Text),
    Column("fault_phone", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("removed_us", BigInteger),
)

recorder = Table(
    "recorder",
    metadata,
    Column("id", Id, primary_key=True),
    Column("code", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("village", Id, ForeignKey("village.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),  # onvif isapi dahua uniview gb28181 rtsp
    Column("url", Text, nullable=False),  # never with credentials in it
    Column("username", Text),
    Column("password_sealed", LargeBinary),  # AES-256-GCM, bound to this recorder's code
    Column("line", String(64)),
    Column("created_us", BigInteger, nullable=False),
    Column("removed_us", BigInteger),
)

point = Table(
    "point",  # a place of the village that must be seen, and the camera that fills it
    metadata,
    Column("id", Id, primary_key=True),
    Column("code", String(64), nullable=False, unique=True),
    Column("village", Id, ForeignKey("village.id"), nullable=False, index=True),
    Column("kind", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("longitude", Float),
    Column("latitude", Float),
    Column("key_point", Boolean),
    Column("camera", String(64)),  # code; NULL: nobody sees it yet
    Column("created_us", BigInteger, nullable=False),
    Column("removed_us", BigInteger),
)

facility = Table(
    "facility",  # what counts for the standard and is no camera
    metadata,
    Column("id", Id, primary_key=True),
    Column("code", String(64), nullable=False, unique=True),
    Column("village", Id, ForeignKey("village.id"), nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("name", Text),
    Column("households", Integer),  # served by it
    Column("installed_on", String(10)),  # ISO dates, the village's calendar
    Column("tested_on", String(10)),
    Column("test_passed", Boolean),
    Column("created_us", BigInteger, nullable=False),
    Column("removed_us", BigInteger),
)

segment = Table(
    "segment",  # closed segments only; the open one is in `standing`
    metadata,
    Column("camera", Id, ForeignKey("camera.id"), primary_key=True),
    Column("dimension", String(40), primary_key=True),
    Column("from_us", BigInteger, primary_key=True),
    Column("to_us", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("reason", String(40)),
    Column("blame", String(12)),
    Column("origin", String(8), nullable=False),
    Column("learned_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

standing = Table(
    "standing",  # written when it changes; a later `last_us` is recovered from `last_seen`
    metadata,
    Column("camera", Id, ForeignKey("camera.id"), primary_key=True),
    Column("dimension", String(40), primary_key=True),
    Column("state", String(8), nullable=False),
    Column("reason", String(40)),
    Column("blame", String(12)),
    Column("since_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("pending", LargeBinary),
    sqlite_with_rowid=False,
)

observation = Table(
    "observation",  # looks that were not "as before"; the key makes a repeated Report harmless
    metadata,
    Column("camera", Id, ForeignKey("camera.id"), primary_key=True),
    Column("depth", String(8), primary_key=True),
    Column("started_us", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),  # msgpack of Look
    Column("learned_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

round_hour = Table(
    "round_hour",  # every look of a village's hour, packed: <= 1.5 bytes a look
    metadata,
    Column("village", Id, ForeignKey("village.id"), primary_key=True),
    Column("depth", String(8), primary_key=True),
    Column("vantage", String(64), primary_key=True),
    Column("hour_us", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

last_seen = Table(
    "last_seen",  # of each camera the latest look that changed nothing, packed as round_hour: small, read at each start
    metadata,
    Column("village", Id, ForeignKey("village.id"), primary_key=True),
    Column("depth", String(8), primary_key=True),
    Column("vantage", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

maintenance = Table(
    "maintenance",
    metadata,
    Column("id", Id, primary_key=True),
    Column("camera", Id, ForeignKey("camera.id"), index=True),  # one of the two is given
    Column("village", Id, ForeignKey("village.id"), index=True),
    Column("from_us", BigInteger, nullable=False),
    Column("to_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)

account = Table(
    "account",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),  # argon2id
    Column("role", String(16), nullable=False),  # administrator, editor, viewer
    Column("region", Id, ForeignKey("region.id")),  # NULL: everything
    Column("created_us", BigInteger, nullable=False),
    Column("disabled_us", BigInteger),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("secret_hash", String(64), nullable=False),  # SHA-256 of a 256-bit secret, hex
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # space-separated: read write probe metrics
    Column("region", Id, ForeignKey("region.id")),  # NULL: everything
    Column("created_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
)
