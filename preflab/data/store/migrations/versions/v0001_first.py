"""The first schema: log, people, studies, items and slots, judgements, conversations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables, and make the log one that only grows."""
    _tables()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION preflab_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the log only grows'; END $$"
        )
        for table, statement in (("event", "UPDATE OR DELETE"), ("body", "UPDATE")):
            op.execute(
                f"CREATE TRIGGER {table}_only_grows BEFORE {statement} ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION preflab_refuse()"
            )
    else:
        for table, statement in (("event", "UPDATE"), ("event", "DELETE"), ("body", "UPDATE")):
            op.execute(
                f"CREATE TRIGGER {table}_no_{statement.lower()} BEFORE {statement} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the log only grows'); END"
            )


def _tables() -> None:
    op.create_table(
        "event",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
            comment="1, 2, 3 ... without a gap",
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("study", sa.String(length=80), nullable=True),
        sa.Column("actor", sa.String(length=40), nullable=False, comment="a pseudonym, or 'server'"),
        sa.Column("body_hash", sa.String(length=64), nullable=False, comment="sha256 of salt and body"),
        sa.Column(
            "previous", sa.String(length=64), nullable=False, comment="hash of the event before: no two follow one"
        ),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_event")),
        sa.UniqueConstraint("hash", name=op.f("uq_event_hash")),
        sa.UniqueConstraint("previous", name=op.f("uq_event_previous")),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.String(length=40), nullable=False, comment="pseudonym: all that judgements know"),
        sa.Column("name", sa.String(length=120), nullable=True, comment="for logging in; null once erased"),
        sa.Column("password", sa.String(length=200), nullable=True, comment="argon2id"),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("erased", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("name", name=op.f("uq_person_name")),
    )
    op.create_table(
        "secret",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secret")),
    )
    op.create_table(
        "study",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'paused', 'closed')", name=op.f("ck_study_state")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_study")),
    )
    op.create_table(
        "body",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["seq"], ["event.seq"], name=op.f("fk_body_seq")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_body")),
    )
    op.create_table(
        "item",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("purpose", sa.String(length=10), nullable=False),
        sa.Column(
            "repeats",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="shown again to those who judged that item",
        ),
        sa.Column("content", sa.Text(), nullable=False),
        sa.CheckConstraint("purpose IN ('main', 'gold', 'practice')", name=op.f("ck_item_purpose")),
        sa.ForeignKeyConstraint(["repeats"], ["item.id"], name=op.f("fk_item_repeats")),
        sa.ForeignKeyConstraint(["study"], ["study.name"], name=op.f("fk_item_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item")),
        sa.UniqueConstraint("study", "name", name=op.f("uq_item_study_name")),
    )
    op.create_table(
        "member",
        sa.Column("person", sa.String(length=40), nullable=False),
        sa.Column("study", sa.String(length=80), nullable=False, comment="'*' for all studies"),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("consented", sa.Integer(), nullable=True, comment="the revision whose consent text was agreed to"),
        sa.Column(
            "opted_out", sa.BigInteger(), nullable=True, comment="when the person chose to see no more of this study"
        ),
        sa.CheckConstraint("role IN ('owner', 'reviewer', 'annotator')", name=op.f("ck_member_role")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_member_person")),
        sa.PrimaryKeyConstraint("person", "study", name=op.f("pk_member")),
    )
    op.create_table(
        "study_revision",
        sa.Column("study", sa.String(length=80), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["study.name"], name=op.f("fk_study_revision_study")),
        sa.PrimaryKeyConstraint("study", "revision", name=op.f("pk_study_revision")),
    )
    op.create_table(
        "token",
        sa.Column("hash", sa.String(length=64), nullable=False, comment="sha256; the token itself is never kept"),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("study", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True, comment="null for an invitation"),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=True, comment="null: as often as one likes"),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.String(length=200), server_default="", nullable=False),
        sa.CheckConstraint("kind IN ('bootstrap', 'invite', 'return', 'session', 'api')", name=op.f("ck_token_kind")),
        sa.CheckConstraint("uses_left IS NULL OR uses_left >= 0", name=op.f("ck_token_uses_left")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_token_person")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_token")),
    )
    op.create_table(
        "slot",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study", sa.String(length=80), nullable=False),
        sa.Column("item", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="slots of lower position are handed out first"),
        sa.Column("holder", sa.String(length=40), nullable=True),
        sa.Column("lease", sa.String(length=40), nullable=True),
        sa.Column("expires", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "filled",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="the event that completed it",
        ),
        sa.CheckConstraint("(holder IS NULL) = (lease IS NULL)", name=op.f("ck_slot_held")),
        sa.CheckConstraint("filled IS NULL OR holder IS NOT NULL", name=op.f("ck_slot_filled")),
        sa.ForeignKeyConstraint(["filled"], ["event.seq"], name=op.f("fk_slot_filled")),
        sa.ForeignKeyConstraint(["holder"], ["person.id"], name=op.f("fk_slot_holder")),
        sa.ForeignKeyConstraint(["item"], ["item.id"], name=op.f("fk_slot_item")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slot")),
        sa.UniqueConstraint("filled", name=op.f("uq_slot_filled")),
        sa.UniqueConstraint("item", "holder", name=op.f("uq_slot_item_holder")),
        sa.UniqueConstraint("item", "number", name=op.f("uq_slot_item_number")),
        sa.UniqueConstraint("lease", name=op.f("uq_slot_lease")),
    )
    op.create_index("ix_slot_holder", "slot", ["holder", "study"], unique=False)
    op.create_index(
        "ix_slot_open",
        "slot",
        ["study", "expires", "position"],
        unique=False,
        sqlite_where=sa.text("filled IS NULL"),
        postgresql_where=sa.text("filled IS NULL"),
    )
    op.create_index(
        "uq_slot_one_open",
        "slot",
        ["study", "holder"],
        unique=True,
        sqlite_where=sa.text("filled IS NULL"),
        postgresql_where=sa.text("filled IS NULL"),
    )
    op.create_table(
        "judgement",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("study", sa.String(length=80), nullable=False),
        sa.Column("item", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "slot", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True, comment="null for practice"
        ),
        sa.Column("part", sa.Integer(), nullable=False, comment="the turn of a conversation; 0 elsewhere"),
        sa.Column(
            "completes", sa.Integer(), nullable=False, comment="1 where it fills the slot, 0 for a turn on the way"
        ),
        sa.Column("person", sa.String(length=40), nullable=False),
        sa.Column(
            "key", sa.String(length=80), nullable=False, comment="made by the page: a retry is not a second vote"
        ),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("supersedes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status IN ('counted', 'late', 'superseded', 'withdrawn', 'practice', 'erased')",
            name=op.f("ck_judgement_status"),
        ),
        sa.ForeignKeyConstraint(["item"], ["item.id"], name=op.f("fk_judgement_item")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_judgement_person")),
        sa.ForeignKeyConstraint(["seq"], ["event.seq"], name=op.f("fk_judgement_seq")),
        sa.ForeignKeyConstraint(["slot"], ["slot.id"], name=op.f("fk_judgement_slot")),
        sa.ForeignKeyConstraint(["supersedes"], ["judgement.seq"], name=op.f("fk_judgement_supersedes")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_judgement")),
        sa.UniqueConstraint("key", name=op.f("uq_judgement_key")),
    )
    op.create_index("ix_judgement_person", "judgement", ["person", "item"], unique=False)
    op.create_index("ix_judgement_study", "judgement", ["study", "status"], unique=False)
    op.create_index(
        "uq_judgement_completes",
        "judgement",
        ["slot"],
        unique=True,
        sqlite_where=sa.text("status = 'counted' AND completes = 1"),
        postgresql_where=sa.text("status = 'counted' AND completes = 1"),
    )
    op.create_index(
        "uq_judgement_part",
        "judgement",
        ["slot", "part", "person"],
        unique=True,
        sqlite_where=sa.text("status = 'counted'"),
        postgresql_where=sa.text("status = 'counted'"),
    )
    op.create_table(
        "turn",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slot", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, comment="what the annotator wrote"),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("fresh", sa.Integer(), nullable=False, comment="1: the policy sees nothing of what was said before"),
        sa.Column("chosen", sa.Integer(), nullable=True, comment="place of the reply the conversation goes on from"),
        sa.Column("edited", sa.Text(), nullable=True, comment="the chosen reply as the annotator bettered it"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_turn_person")),
        sa.ForeignKeyConstraint(["slot"], ["slot.id"], name=op.f("fk_turn_slot")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn")),
        sa.UniqueConstraint("key", name=op.f("uq_turn_key")),
        sa.UniqueConstraint("slot", "person", "number", name=op.f("uq_turn_slot_person_number")),
    )
    op.create_table(
        "reply",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("turn", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("policy", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "details",
            sa.Text(),
            server_default="{}",
            nullable=False,
            comment="weight version, decoding, tokens, seconds",
        ),
        sa.Column("worker", sa.String(length=40), nullable=True),
        sa.Column(
            "expires",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="when another worker may take it over",
        ),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'writing', 'done', 'failed')", name=op.f("ck_reply_state")),
        sa.ForeignKeyConstraint(["turn"], ["turn.id"], name=op.f("fk_reply_turn")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply")),
        sa.UniqueConstraint("turn", "place", name=op.f("uq_reply_turn_place")),
    )
    op.create_index(
        "ix_reply_work",
        "reply",
        ["expires", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('waiting', 'writing')"),
        postgresql_where=sa.text("state IN ('waiting', 'writing')"),
    )
