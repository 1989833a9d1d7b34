# ruff: noqa: E501 - queries as the benchmark lays them out
"""The Nexmark queries, with windows of any size and in Laminar's or PostgreSQL's words.

q6 is the benchmark's as Beam means it (the ten last winning bids); q10, q14 and q21 have PostgreSQL's functions
for Flink's. Ties that the benchmark leaves open are settled by all columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Dialect = Literal["laminar", "postgres"]

#: columns of the sources; event time is date_time
TABLES: Final = {
    "person": "id bigint, name text, email_address text, credit_card text, city text, state text,"
    " date_time timestamp, extra text",
    "auction": "id bigint, item_name text, description text, initial_bid bigint, reserve bigint,"
    " date_time timestamp, expires timestamp, seller bigint, category bigint, extra text",
    "bid": "auction bigint, bidder bigint, price bigint, channel text, url text, date_time timestamp, extra text",
}
_TUMBLE: Final[dict[Dialect, str]] = {
    "laminar": "TUMBLE({0}, date_time, INTERVAL '{1}')",
    "postgres": """(SELECT *, date_bin('{1}', date_time, timestamp '1970-01-01') AS window_start,
        date_bin('{1}', date_time, timestamp '1970-01-01') + INTERVAL '{1}' AS window_end FROM {0})""",
}
_HOP: Final[dict[Dialect, str]] = {
    "laminar": "HOP({0}, date_time, INTERVAL '{1}', INTERVAL '{2}')",
    "postgres": """(SELECT b.*, s AS window_start, s + INTERVAL '{2}' AS window_end FROM {0} b,
        generate_series(date_bin('{1}', b.date_time, timestamp '1970-01-01') - INTERVAL '{2}' + INTERVAL '{1}',
            date_bin('{1}', b.date_time, timestamp '1970-01-01'), INTERVAL '{1}') s)""",
}
_SESSION: Final[dict[Dialect, str]] = {
    "laminar": "SESSION({0}, date_time, INTERVAL '{1}' PARTITION BY {2})",
    "postgres": """(SELECT *, min(date_time) OVER w AS window_start, max(date_time) OVER w + INTERVAL '{1}' AS window_end
        FROM (SELECT *, count(*) FILTER (WHERE opens) OVER (PARTITION BY {2} ORDER BY date_time) AS session FROM
            (SELECT *, date_time - lag(date_time) OVER (PARTITION BY {2} ORDER BY date_time) >= INTERVAL '{1}' AS opens
            FROM {0}) x) y WINDOW w AS (PARTITION BY {2}, session))""",
}


@dataclass(frozen=True)
class Windows:
    """Sizes of windows, as intervals."""

    tumble: str = "10 s"
    hop: tuple[str, str] = ("2 s", "10 s")
    session: str = "10 s"


#: the benchmark's, and some for thousands of events: 10,000 are a second
STANDARD: Final = Windows()
SMALL: Final = Windows("100 ms", ("20 ms", "100 ms"), "10 ms")

_HOPPED: Final = "<hop bid>"
_PERSONS, _AUCTIONS, _BIDS = "<tumble person>", "<tumble auction>", "<tumble bid>"
_COUNTS: Final = (
    f"SELECT auction, count(*) AS num, window_start, window_end FROM {_HOPPED} h GROUP BY 1, 3, 4"
)
_WINNERS: Final = """SELECT * FROM (SELECT a.id, a.seller, a.category, b.price, b.bidder, b.date_time, b.extra,
        row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time, b.bidder, b.url, b.extra) AS rn
    FROM auction a JOIN bid b ON a.id = b.auction WHERE b.date_time BETWEEN a.date_time AND a.expires) w
    WHERE rn <= 1"""
_RANKS: Final = """count(*) AS total, count(*) FILTER (WHERE price < 10000) AS low,
    count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS middle,
    count(*) FILTER (WHERE price >= 1000000) AS high"""
_DISTINCTS: Final = """count(DISTINCT bidder) AS bidders,
    count(DISTINCT bidder) FILTER (WHERE price < 10000) AS low_bidders,
    count(DISTINCT auction) AS auctions, count(DISTINCT auction) FILTER (WHERE price >= 1000000) AS high_auctions"""

QUERIES: Final = {
    0: "SELECT auction, bidder, price, date_time, extra FROM bid",
    1: "SELECT auction, bidder, 0.908 * price AS price, date_time, extra FROM bid",
    2: "SELECT auction, price FROM bid WHERE auction % 123 = 0",
    3: """SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id
        WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')""",
    4: """SELECT category, avg(final) AS price FROM (SELECT max(b.price) AS final, a.category FROM auction a, bid b
        WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires GROUP BY a.id, a.category) q
        GROUP BY category""",
    5: f"""SELECT b.auction, b.num FROM ({_COUNTS}) b JOIN (SELECT max(num) AS most, window_start, window_end
        FROM ({_COUNTS}) c GROUP BY 2, 3) m ON b.window_start = m.window_start AND b.window_end = m.window_end
        AND b.num >= m.most""",
    6: f"""SELECT id, seller, avg(price) OVER (PARTITION BY seller ORDER BY date_time, id
        ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) AS price FROM ({_WINNERS}) q""",
    7: f"""SELECT b.auction, b.price, b.bidder, b.date_time, b.extra FROM bid b JOIN
        (SELECT max(price) AS most, window_end FROM {_BIDS} t GROUP BY window_start, window_end) m
        ON b.price = m.most AND b.date_time BETWEEN m.window_end - INTERVAL '<size>' AND m.window_end""",
    8: f"""SELECT p.id, p.name, p.window_start FROM
        (SELECT id, name, window_start, window_end FROM {_PERSONS} t GROUP BY 1, 2, 3, 4) p JOIN
        (SELECT seller, window_start, window_end FROM {_AUCTIONS} t GROUP BY 1, 2, 3) a
        ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end""",
    9: _WINNERS,
    10: """SELECT auction, bidder, price, date_time, extra, to_char(date_time, 'YYYY-MM-DD') AS day,
        to_char(date_time, 'HH24:MI') AS minute FROM bid""",
    11: """SELECT bidder, count(*) AS bids, window_start, window_end FROM <session bid> s GROUP BY 1, 3, 4""",
    12: """SELECT bidder, count(*) AS bids, window_start, window_end
        FROM TUMBLE((SELECT bidder, PROCTIME() AS at FROM bid), at, INTERVAL '<size>') t GROUP BY 1, 3, 4""",
    13: """SELECT b.auction, b.bidder, b.price, b.date_time, s.value FROM bid b
        JOIN (SELECT k AS key, 'side ' || k AS value FROM generate_series(0, 9999) AS k) s ON b.auction % 10000 = s.key""",
    14: """SELECT auction, bidder, 0.908 * price AS price, CASE
            WHEN extract(hour FROM date_time) BETWEEN 8 AND 18 THEN 'day'
            WHEN extract(hour FROM date_time) <= 6 OR extract(hour FROM date_time) >= 20 THEN 'night' ELSE 'other' END
            AS kind, date_time, extra, length(extra) - length(replace(extra, 'c', '')) AS c
        FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000""",
    15: f"""SELECT to_char(date_time, 'YYYY-MM-DD') AS day, {_RANKS}, {_DISTINCTS} FROM bid GROUP BY 1""",
    16: f"""SELECT channel, to_char(date_time, 'YYYY-MM-DD') AS day, max(to_char(date_time, 'HH24:MI')) AS minute,
        {_RANKS}, {_DISTINCTS} FROM bid GROUP BY 1, 2""",
    17: f"""SELECT auction, to_char(date_time, 'YYYY-MM-DD') AS day, {_RANKS}, min(price) AS least, max(price) AS most,
        avg(price) AS mean, sum(price) AS sum FROM bid GROUP BY 1, 2""",
    18: """SELECT auction, bidder, price, channel, url, date_time, extra FROM (SELECT *, row_number() OVER
        (PARTITION BY bidder, auction ORDER BY date_time DESC, price, channel, url, extra) AS rn FROM bid) q
        WHERE rn <= 1""",
    19: """SELECT * FROM (SELECT *, row_number() OVER
        (PARTITION BY auction ORDER BY price DESC, date_time, bidder, channel, url, extra) AS rn FROM bid) q
        WHERE rn <= 10""",
    20: """SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, a.item_name, a.description,
        a.initial_bid, a.reserve, a.expires, a.seller, a.category FROM bid b JOIN auction a ON b.auction = a.id
        WHERE a.category = 10""",
    21: """SELECT auction, bidder, price, channel, CASE lower(channel) WHEN 'apple' THEN '0' WHEN 'google' THEN '1'
            WHEN 'facebook' THEN '2' WHEN 'baidu' THEN '3'
            ELSE (regexp_match(url, 'channel_id=([^&]*)'))[1] END AS channel_id FROM bid
        WHERE (regexp_match(url, 'channel_id=([^&]*)'))[1] IS NOT NULL
            OR lower(channel) IN ('apple', 'google', 'facebook', 'baidu')""",
    22: """SELECT auction, bidder, price, channel, split_part(url, '/', 4) AS a, split_part(url, '/', 5) AS b,
        split_part(url, '/', 6) AS c FROM bid""",
}  # fmt: skip
#: those whose results the benchmark gives out when a window is over
ON_CLOSE: Final = frozenset({5, 7, 8, 11})
_READS: Final = {3: ("person", "auction"), 8: ("person", "auction")} | dict.fromkeys(
    (4, 6, 9, 20), ("auction", "bid")
)


def reads(number: int) -> tuple[str, ...]:
    """The sources that a query reads."""
    return _READS.get(number, ("bid",))


def text(number: int, windows: Windows = STANDARD, dialect: Dialect = "laminar") -> str:
    """The query in one database's words, without EMIT."""
    query = QUERIES[number].replace("<size>", windows.tumble)
    for table in TABLES:
        query = query.replace(f"<tumble {table}>", _TUMBLE[dialect].format(table, windows.tumble))
    query = query.replace(_HOPPED, _HOP[dialect].format("bid", *windows.hop))
    return query.replace("<session bid>", _SESSION[dialect].format("bid", windows.session, "bidder"))


def emit(number: int) -> str:
    """The query's EMIT clause, a space before it; empty when it has none."""
    return " EMIT ON WINDOW CLOSE" if number in ON_CLOSE else ""
