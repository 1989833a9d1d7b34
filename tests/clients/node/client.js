// node-postgres as applications use it. Prints one line per answer; the same lines are expected of every server.
const { Client, Pool, types } = require("pg");
const Cursor = require("pg-cursor");

const say = (...parts) => console.log(parts.map((p) => JSON.stringify(p, (_, v) => (typeof v === "bigint" ? `${v}` : v))).join(" | "));

async function failing(db, text, values) {
  try {
    const result = await db.query(text, values);
    say("error", "none", result.rows);
  } catch (error) {
    // PostgreSQL gives no position for what fails while it runs
    const position = error.code === "22012" ? undefined : error.position;
    say("error", error.code, error.message, position, error.detail, error.hint, error.severity);
  }
}

async function main(url) {
  const db = new Client({ connectionString: url });
  const notices = [];
  db.on("notice", (notice) => notices.push([notice.severity, notice.message]));
  await db.connect();

  const values = [true, -3, 2147483647, "9223372036854775807", 1.5, -2.25, "12345.6789", "zwölf", Buffer.from([0, 255]),
    "2024-02-29", "23:59:59.999999", "2024-12-31 23:59:59.123456", "2024-06-01T12:00:00+02:00",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", [1, null, 3], { b: 1, a: [true, null] }, "1 day 02:03:04", null];
  const casts = ["bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "bytea", "date", "time", "timestamp",
    "timestamptz", "uuid", "int[]", "jsonb", "interval", "text"];
  const select = "SELECT " + casts.map((c, i) => `$${i + 1}::${c} AS c${i}`).join(", ");
  for (const name of [undefined, "s1", "s1"]) {
    const result = await db.query({ text: select, values, name, rowMode: "array" });
    say("types", result.rows, result.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format]));
  }

  await db.query("CREATE TABLE node_items (id int PRIMARY KEY, name text, tags text[])");
  const inserted = await db.query("INSERT INTO node_items VALUES ($1, $2, $3), ($4, $5, $6) RETURNING id",
    [1, "a", ["x", "y,z"], 2, null, []]);
  say("insert", inserted.command, inserted.rowCount, inserted.rows);
  const several = await db.query("SELECT 1 AS a; SELECT name FROM node_items ORDER BY id; UPDATE node_items SET name = 'b'");
  say("several", several.map((r) => [r.command, r.rowCount, r.rows]));

  await failing(db, "SELECT nothing FROM node_items");
  await failing(db, "SELECT * FROM missing WHERE a = $1", [1]);
  await failing(db, "SELECT $1::int", ["x"]);
  await failing(db, "INSERT INTO node_items VALUES (1, 'again', NULL)");
  await failing(db, "SELECT 1 / $1::int", [0]);

  await db.query("BEGIN");
  await failing(db, "SELECT bad");
  await failing(db, "SELECT 1");
  await db.query("ROLLBACK");

  const cursor = db.query(new Cursor("SELECT g FROM generate_series(1, $1::int) AS g", [25], { rowMode: "array" }));
  for (let rows = await cursor.read(10); rows.length; rows = await cursor.read(10)) say("cursor", rows.length, rows[0]);
  await cursor.close();

  const heard = new Promise((resolve) => db.once("notification", (m) => resolve([m.channel, m.payload])));
  await db.query("LISTEN news");
  await db.query("NOTIFY news, 'hello'");
  say("heard", await heard);
  await db.query("DROP TABLE IF EXISTS not_there");
  say("notices", notices);

  const pool = new Pool({ connectionString: url, max: 4 });
  const parallel = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((i) => pool.query("SELECT $1::int * 2 AS twice", [i])));
  say("pool", parallel.map((r) => r.rows[0].twice));
  await pool.end();
  await db.query("DROP TABLE node_items");
  await db.end();
}

main(process.argv[2]).catch((error) => { say("failed", String(error), error.stack); process.exit(1); });
