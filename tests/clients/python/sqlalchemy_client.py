"""SQLAlchemy 2: reflection of what there is, an ORM's round trip, Core's statements."""

import sys
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


def say(*parts):
    print(*(repr(part) for part in parts), sep=" | ")


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "alchemists"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    age: Mapped[int | None] = mapped_column(index=True)
    pay: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2), server_default="1.5")
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(sa.Text))
    extra: Mapped[dict | None] = mapped_column(JSONB)
    __table_args__ = (sa.CheckConstraint("age > 0", name="grown"), {"comment": "who there is"})


engine = sa.create_engine(
    "postgresql+psycopg2://", creator=lambda: __import__("psycopg2").connect(sys.argv[1])
)
Base.metadata.create_all(engine)
with engine.begin() as db:
    db.execute(sa.text("CREATE VIEW elders AS SELECT id, name FROM alchemists WHERE age > 50"))
    db.execute(
        sa.text("CREATE MATERIALIZED VIEW ages AS SELECT age, count(*) AS n FROM alchemists GROUP BY age")
    )
    db.execute(sa.text("CREATE SCHEMA lab"))
    db.execute(sa.text("CREATE TABLE lab.jars (a int, b int, PRIMARY KEY (b, a))"))

inspector = sa.inspect(engine)
say("dialect", engine.dialect.server_version_info[0], engine.dialect.default_schema_name)
say(
    "names",
    sorted(inspector.get_table_names()),
    sorted(inspector.get_view_names()),
    inspector.get_materialized_view_names(),
)
say("schemas", [s for s in inspector.get_schema_names() if s != "laminar_catalog"])
say("jars", inspector.get_table_names("lab"), inspector.get_pk_constraint("jars", "lab"))
for column in inspector.get_columns("alchemists"):
    say("column", sorted((k, str(v)) for k, v in column.items()))
for column in inspector.get_columns("elders") + inspector.get_columns("ages"):
    say("view column", column["name"], str(column["type"]))
say("key", inspector.get_pk_constraint("alchemists"))
say("unique", inspector.get_unique_constraints("alchemists"))
say("indexes", sorted(inspector.get_indexes("alchemists"), key=lambda i: i["name"]))
say("checks", inspector.get_check_constraints("alchemists"))
say("foreign", inspector.get_foreign_keys("alchemists"))
say("comment", inspector.get_table_comment("alchemists"), inspector.get_table_comment("elders"))
say("sequences", sorted(inspector.get_sequence_names()), inspector.get_enums())
say("has", inspector.has_table("alchemists"), inspector.has_table("elders"), inspector.has_table("nothing"))
say("has more", inspector.has_index("alchemists", "ix_alchemists_age"), inspector.has_schema("lab"))
say(
    "multi",
    sorted((k, len(v)) for k, v in inspector.get_multi_columns().items() if k[1] in ("alchemists", "ages")),
)
reflected = sa.Table("alchemists", sa.MetaData(), autoload_with=engine)
say("reflected", [(c.name, str(c.type), c.nullable, c.primary_key) for c in reflected.columns])

with Session(engine) as session:
    ann = Person(name="Ann", age=61, tags=["a", "b"], extra={"k": 1})
    session.add_all([ann, Person(name="Bob", age=20), Person(name="Cy")])
    session.flush()
    say("flushed", ann.id, ann.pay)
    session.commit()
    ann.age = 62
    session.delete(session.scalars(sa.select(Person).where(Person.name == "Bob")).one())
    session.commit()
with Session(engine) as session:
    people = session.scalars(sa.select(Person).order_by(Person.name)).all()
    say("people", [(p.id, p.name, p.age, p.pay, p.tags, p.extra) for p in people])
    found = session.execute(
        sa.select(sa.func.count(), sa.func.max(Person.age)).where(Person.extra["k"].as_integer() == 1)
    )
    say("counted", found.one())
    with session.begin_nested() as nested:
        session.execute(sa.update(Person).values(age=Person.age + 1))
        nested.rollback()
    say("nested", session.scalar(sa.select(sa.func.sum(Person.age))))
with engine.begin() as db:
    row = {"name": "Ann", "age": 1}
    upsert = (
        insert(Person)
        .values(row)
        .on_conflict_do_update(index_elements=["name"], set_={"age": sa.literal(63)})
    )
    say("upsert", db.execute(upsert.returning(Person.id, Person.age)).all())
    say("elders", db.execute(sa.text("SELECT name FROM elders")).all())
    try:
        with db.begin_nested():
            db.execute(sa.insert(Person).values(name="Ann"))
    except sa.exc.IntegrityError as error:
        say("integrity", error.orig.pgcode)
    big = db.execution_options(stream_results=True, max_row_buffer=10)
    say("streamed", sum(n for (n,) in big.execute(sa.text("SELECT * FROM generate_series(1, 1000) AS g"))))
with engine.begin() as db:
    db.execute(sa.text("DROP SCHEMA lab CASCADE"))
    db.execute(sa.text("DROP MATERIALIZED VIEW ages"))
    db.execute(sa.text("DROP VIEW elders"))
Base.metadata.drop_all(engine)
