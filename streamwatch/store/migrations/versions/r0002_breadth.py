"""Lines, recorders, planned points, facilities, and where cameras were before they were moved."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "r0002"
down_revision: Final = "r0001"

ID: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Creates the five tables; nothing that was there changes."""
    op.create_table(
        "line",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("kbps", sa.Integer(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("circuit", sa.Text(), nullable=True),
        sa.Column("fault_phone", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("removed_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_line")),
        sa.UniqueConstraint("code", name=op.f("uq_line_code")),
    )
    op.create_table(
        "recorder",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("village", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("password_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("line", sa.String(length=64), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("removed_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["village"], ["village.id"], name=op.f("fk_recorder_village_village")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recorder")),
        sa.UniqueConstraint("code", name=op.f("uq_recorder_code")),
    )
    op.create_index(op.f("ix_recorder_village"), "recorder", ["village"], unique=False)
    op.create_table(
        "point",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("village", ID, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("key_point", sa.Boolean(), nullable=True),
        sa.Column("camera", sa.String(length=64), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("removed_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["village"], ["village.id"], name=op.f("fk_point_village_village")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_point")),
        sa.UniqueConstraint("code", name=op.f("uq_point_code")),
    )
    op.create_index(op.f("ix_point_village"), "point", ["village"], unique=False)
    op.create_table(
        "facility",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("village", ID, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("households", sa.Integer(), nullable=True),
        sa.Column("installed_on", sa.String(length=10), nullable=True),
        sa.Column("tested_on", sa.String(length=10), nullable=True),
        sa.Column("test_passed", sa.Boolean(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("removed_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["village"], ["village.id"], name=op.f("fk_facility_village_village")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_facility")),
        sa.UniqueConstraint("code", name=op.f("uq_facility_code")),
    )
    op.create_index(op.f("ix_facility_village"), "facility", ["village"], unique=False)
    op.create_table(
        "camera_stay",
        sa.Column("camera", ID, nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("to_us", sa.BigInteger(), nullable=False),
        sa.Column("village", ID, nullable=False),
        sa.ForeignKeyConstraint(["camera"], ["camera.id"], name=op.f("fk_camera_stay_camera_camera")),
        sa.ForeignKeyConstraint(["village"], ["village.id"], name=op.f("fk_camera_stay_village_village")),
        sa.PrimaryKeyConstraint("camera", "from_us", name=op.f("pk_camera_stay")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_camera_stay_village"), "camera_stay", ["village"], unique=False)
