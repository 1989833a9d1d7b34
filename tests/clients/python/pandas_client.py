"""pandas: to_sql in all its ways, read_sql by query, table and chunks."""

import datetime as dt
import sys

import pandas as pd
import sqlalchemy as sa

engine = sa.create_engine(
    "postgresql+psycopg2://", creator=lambda: __import__("psycopg2").connect(sys.argv[1])
)
frame = pd.DataFrame(
    {
        "i": range(100),
        "f": [i / 3 if i % 7 else None for i in range(100)],
        "s": [f"row {i}" if i % 5 else None for i in range(100)],
        "b": [i % 2 == 0 for i in range(100)],
        "t": [dt.datetime(2024, 1, 1) + dt.timedelta(hours=i) for i in range(100)],
    }
)


def show(what, found):
    print(what, found.dtypes.astype(str).to_dict(), found.to_csv(index=False).replace("\n", ";"))


print("rows", frame.to_sql("frames", engine, index=False))
print("more", frame.head(3).to_sql("frames", engine, index=False, if_exists="append", method="multi"))
show(
    "query",
    pd.read_sql(
        "SELECT b, count(*) AS n, round(sum(f)::numeric, 6) AS f, min(t) AS t FROM frames GROUP BY b ORDER BY b",
        engine,
    ),
)
show("table", pd.read_sql_table("frames", engine).sort_values(["i"]).head(5))
for chunk in pd.read_sql(sa.text("SELECT i, s FROM frames ORDER BY i, s LIMIT 7"), engine, chunksize=3):
    show("chunk", chunk)
print(
    "replaced", frame.head(2).set_index("i").to_sql("frames", engine, if_exists="replace", index_label="key")
)
show("after", pd.read_sql_table("frames", engine, index_col="key").reset_index())
with engine.begin() as db:
    db.execute(sa.text("DROP TABLE frames"))
