"""The schema of first light: inventory, timeline, accounts."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "r0001"
down_revision: Final = None

ID: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Creates every table."""
    op.create_table(
        "region",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent", ID, nullable=True),
        sa.ForeignKeyConstraint(["parent"], ["region.id"], name=op.f("fk_region_parent_region")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_region")),
        sa.UniqueConstraint("code", name=op.f("uq_region_code")),
    )
    op.create_index(op.f("ix_region_parent"), "region", ["parent"], unique=False)
    op.create_table(
        "account",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("region", ID, nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("disabled_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["region"], ["region.id"], name=op.f("fk_account_region_region")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("name", name=op.f("uq_account_name")),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("region", ID, nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["region"], ["region.id"], name=op.f("fk_api_key_region_region")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
    )
    op.create_table(
        "village",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("region", ID, nullable=False),
        sa.Column("households", sa.Integer(), nullable=True),
        sa.Column("population", sa.Integer(), nullable=True),
        sa.Column("police_station", sa.Text(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("unit_phone", sa.Text(), nullable=True),
        sa.Column("monitor_centre", sa.Boolean(), nullable=True),
        sa.Column("joined_on", sa.String(length=10), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("removed_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["region"], ["region.id"], name=op.f("fk_village_region_region")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_village")),
        sa.UniqueConstraint("code", name=op.f("uq_village_code")),
    )
    op.create_index(op.f("ix_village_region"), "village", ["region"], unique=False)
    op.create_table(
        "camera",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("village", ID, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("sub_url", sa.Text(), nullable=True),
        sa.Column("vendor", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("password_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("allow_basic", sa.Boolean(), nullable=True),
        sa.Column("recorder", sa.String(length=64), nullable=True),
        sa.Column("recorder_channel", sa.Text(), nullable=True),
        sa.Column("line", sa.String(length=64), nullable=True),
        sa.Column("interval_s", sa.Integer(), nullable=True),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("datum", sa.Text(), nullable=True),
        sa.Column("position_type", sa.Text(), nullable=True),
        sa.Column("key_point", sa.Boolean(), nullable=True),
        sa.Column("installed_on", sa.String(length=10), nullable=True),
        sa.Column("installed_us", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("removed_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["village"], ["village.id"], name=op.f("fk_camera_village_village")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera")),
        sa.UniqueConstraint("code", name=op.f("uq_camera_code")),
    )
    op.create_index(op.f("ix_camera_village"), "camera", ["village"], unique=False)
    op.create_table(
        "round_hour",
        sa.Column("village", ID, nullable=False),
        sa.Column("depth", sa.String(length=8), nullable=False),
        sa.Column("vantage", sa.String(length=64), nullable=False),
        sa.Column("hour_us", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["village"], ["village.id"], name=op.f("fk_round_hour_village_village")),
        sa.PrimaryKeyConstraint("village", "depth", "vantage", "hour_us", name=op.f("pk_round_hour")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "last_seen",
        sa.Column("village", ID, nullable=False),
        sa.Column("depth", sa.String(length=8), nullable=False),
        sa.Column("vantage", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["village"], ["village.id"], name=op.f("fk_last_seen_village_village")),
        sa.PrimaryKeyConstraint("village", "depth", "vantage", name=op.f("pk_last_seen")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "maintenance",
        sa.Column("id", ID, nullable=False),
        sa.Column("camera", ID, nullable=True),
        sa.Column("village", ID, nullable=True),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("to_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["camera"], ["camera.id"], name=op.f("fk_maintenance_camera_camera")),
        sa.ForeignKeyConstraint(["village"], ["village.id"], name=op.f("fk_maintenance_village_village")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance")),
    )
    op.create_index(op.f("ix_maintenance_camera"), "maintenance", ["camera"], unique=False)
    op.create_index(op.f("ix_maintenance_village"), "maintenance", ["village"], unique=False)
    op.create_table(
        "observation",
        sa.Column("camera", ID, nullable=False),
        sa.Column("depth", sa.String(length=8), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("learned_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["camera"], ["camera.id"], name=op.f("fk_observation_camera_camera")),
        sa.PrimaryKeyConstraint("camera", "depth", "started_us", name=op.f("pk_observation")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "segment",
        sa.Column("camera", ID, nullable=False),
        sa.Column("dimension", sa.String(length=40), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("to_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("blame", sa.String(length=12), nullable=True),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("learned_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["camera"], ["camera.id"], name=op.f("fk_segment_camera_camera")),
        sa.PrimaryKeyConstraint("camera", "dimension", "from_us", name=op.f("pk_segment")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "standing",
        sa.Column("camera", ID, nullable=False),
        sa.Column("dimension", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("blame", sa.String(length=12), nullable=True),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["camera"], ["camera.id"], name=op.f("fk_standing_camera_camera")),
        sa.PrimaryKeyConstraint("camera", "dimension", name=op.f("pk_standing")),
        sqlite_with_rowid=False,
    )
