import java.math.BigDecimal;
import java.sql.*;
import java.time.*;
import java.util.*;

/** JDBC as applications use it. Prints one line per answer; the same lines are expected of every server. */
public class Client {
    static void say(Object... parts) {
        StringJoiner line = new StringJoiner(" | ");
        for (Object part : parts) line.add(String.valueOf(part));
        System.out.println(line);
    }

    static void rows(String what, ResultSet set) throws SQLException {
        ResultSetMetaData meta = set.getMetaData();
        StringJoiner head = new StringJoiner(", ");
        for (int i = 1; i <= meta.getColumnCount(); i++)
            head.add(meta.getColumnLabel(i) + " " + meta.getColumnTypeName(i));
        say(what, head);
        while (set.next()) {
            StringJoiner row = new StringJoiner(", ");
            for (int i = 1; i <= meta.getColumnCount(); i++) row.add(String.valueOf(set.getString(i)));
            say(what, row);
        }
        set.close();
    }

    /** Only these columns of a metadata answer. */
    static void rows(String what, ResultSet set, String... columns) throws SQLException {
        List<String> found = new ArrayList<>();
        while (set.next()) {
            StringJoiner row = new StringJoiner(", ");
            for (String column : columns) row.add(String.valueOf(set.getString(column)));
            found.add(row.toString());
        }
        set.close();
        Collections.sort(found);
        for (String row : found) say(what, row);
    }

    static void types(Connection db) throws SQLException {
        try (PreparedStatement s = db.prepareStatement(
                "SELECT ?::bool, ?::int2, ?::int4, ?::int8, ?::float4, ?::float8, ?::numeric, ?::text, ?::bytea,"
                + " ?::date, ?::time, ?::timestamp, ?::timestamptz, ?::uuid, ?::int[], ?::jsonb")) {
            // after the fifth execution the driver uses a named statement and binary transfer
            for (int i = 0; i < 7; i++) {
                s.setBoolean(1, i % 2 == 0);
                s.setShort(2, (short) -i);
                s.setInt(3, Integer.MIN_VALUE + i);
                s.setLong(4, Long.MAX_VALUE - i);
                s.setFloat(5, 1.5f * i);
                s.setDouble(6, -2.25 * i);
                s.setBigDecimal(7, new BigDecimal("12345678901234567890.123456789").movePointRight(i));
                s.setString(8, "zwölf 'Boxkämpfer' \\ " + i);
                s.setBytes(9, new byte[] {0, 1, (byte) 255, (byte) i});
                s.setObject(10, LocalDate.of(2024, 2, 29).plusDays(i));
                s.setObject(11, LocalTime.of(23, 59, 59, 999_999_000));
                s.setObject(12, LocalDateTime.of(2024, 12, 31, 23, 59, 59, 123_456_000));
                s.setObject(13, OffsetDateTime.of(2024, 6, 1, 12, 0, 0, 0, ZoneOffset.ofHours(2)));
                s.setObject(14, UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
                s.setArray(15, db.createArrayOf("int4", new Integer[] {1, null, 3}));
                s.setString(16, "{\"b\": 1, \"a\": [true, null]}");
                try (ResultSet r = s.executeQuery()) {
                    r.next();
                    say("types", r.getBoolean(1), r.getShort(2), r.getInt(3), r.getLong(4), r.getFloat(5),
                        r.getDouble(6), r.getBigDecimal(7), r.getString(8), Arrays.toString(r.getBytes(9)),
                        r.getObject(10, LocalDate.class), r.getObject(11, LocalTime.class),
                        r.getObject(12, LocalDateTime.class),
                        r.getObject(13, OffsetDateTime.class).toInstant(), r.getObject(14),
                        Arrays.toString((Object[]) r.getArray(15).getArray()), r.getString(16));
                }
            }
        }
    }

    static void statements(Connection db) throws SQLException {
        try (Statement s = db.createStatement()) {
            s.execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2) DEFAULT 1.50)");
            s.execute("CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 100");
            say("updated", s.executeUpdate("INSERT INTO items VALUES (1, 'one', 10), (2, 'two', 20)"));
            s.addBatch("UPDATE items SET price = price + 1");
            s.addBatch("DELETE FROM items WHERE id = 2");
            say("batch", Arrays.toString(s.executeBatch()));
        }
        try (PreparedStatement s = db.prepareStatement("INSERT INTO items (id, name) VALUES (?, ?)")) {
            for (int i = 10; i < 15; i++) {
                s.setInt(1, i);
                s.setString(2, "n" + i);
                s.addBatch();
            }
            say("batch", Arrays.toString(s.executeBatch()));
        }
        try (Statement s = db.createStatement()) {
            rows("items", s.executeQuery("SELECT * FROM items ORDER BY id"));
        }
    }

    static void errors(Connection db) throws SQLException {
        String[] wrong = {
            "SELECT nothing FROM items", "SELECT * FROM missing", "SELEC 1", "SELECT 1/0", "SELECT 'x'::int",
            "INSERT INTO items VALUES (1, 'again', 0)", "INSERT INTO items (id) VALUES (99)",
        };
        for (String sql : wrong) {
            try (Statement s = db.createStatement()) {
                s.execute(sql);
                say("error", "none", sql);
            } catch (SQLException error) {
                // PostgreSQL gives no position for what fails while it runs
                say("error", error.getSQLState(), error.getMessage().replace("\n", " / ").replaceAll("zero / .*", "zero"));
            }
        }
    }

    static void transactions(Connection db) throws SQLException {
        db.setAutoCommit(false);
        try (Statement s = db.createStatement()) {
            s.executeUpdate("INSERT INTO items VALUES (50, 'fifty', 5)");
            Savepoint point = db.setSavepoint("p");
            try {
                s.executeUpdate("INSERT INTO items VALUES (50, 'again', 5)");
            } catch (SQLException error) {
                say("savepoint", error.getSQLState());
                db.rollback(point);
            }
            s.executeUpdate("INSERT INTO items VALUES (51, 'more', 5)");
            db.rollback();
            rows("rolled back", s.executeQuery("SELECT count(*) FROM items WHERE id >= 50"));
        }
        // rows in portions: a portal that is executed again and again
        try (Statement s = db.createStatement()) {
            s.setFetchSize(7);
            long sum = 0, count = 0;
            try (ResultSet r = s.executeQuery("SELECT g FROM generate_series(1, 100) AS g")) {
                while (r.next()) {
                    sum += r.getInt(1);
                    count++;
                }
            }
            say("portions", count, sum);
        }
        db.commit();
        db.setAutoCommit(true);
        say("connection", db.isReadOnly(), db.isValid(5));
    }

    static void metadata(Connection db) throws SQLException {
        DatabaseMetaData m = db.getMetaData();
        say("product", m.getDatabaseProductName(), m.getDatabaseMajorVersion());
        rows("tables", m.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}),
             "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS");
        rows("columns", m.getColumns(null, "public", "items", "%"), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME",
             "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE", "COLUMN_DEF", "ORDINAL_POSITION", "IS_NULLABLE", "IS_AUTOINCREMENT");
        rows("columns", m.getColumns(null, "public", "cheap", "%"), "COLUMN_NAME", "TYPE_NAME", "ORDINAL_POSITION");
        rows("key", m.getPrimaryKeys(null, "public", "items"), "TABLE_NAME", "COLUMN_NAME", "KEY_SEQ", "PK_NAME");
        rows("indexes", m.getIndexInfo(null, "public", "items", false, false), "NON_UNIQUE", "INDEX_NAME",
             "ORDINAL_POSITION", "COLUMN_NAME", "ASC_OR_DESC");
        rows("schemas", m.getSchemas(null, "p%"), "TABLE_SCHEM");
        rows("imported", m.getImportedKeys(null, "public", "items"), "PKTABLE_NAME");
        rows("privileges", m.getTablePrivileges(null, "public", "missing"), "PRIVILEGE");
        try (ResultSet types = m.getTypeInfo()) {
            Map<String, Integer> known = new TreeMap<>();
            while (types.next()) known.put(types.getString("TYPE_NAME"), types.getInt("DATA_TYPE"));
            for (String name : "bool bytea date int4 interval jsonb numeric text timestamptz uuid varchar _int4".split(" "))
                say("type", name, known.get(name));
        }
        rows("best", m.getBestRowIdentifier(null, "public", "items", DatabaseMetaData.bestRowSession, true),
             "COLUMN_NAME", "TYPE_NAME");
        rows("functions", m.getFunctions(null, "pg_catalog", "upper"), "FUNCTION_NAME", "SPECIFIC_NAME");
        try (PreparedStatement s = db.prepareStatement("SELECT id, price FROM items WHERE name = ? AND id > ?")) {
            ParameterMetaData p = s.getParameterMetaData();
            say("parameters", p.getParameterCount(), p.getParameterTypeName(1), p.getParameterTypeName(2));
            ResultSetMetaData c = s.getMetaData();
            say("described", c.getColumnName(1), c.getTableName(1), c.isNullable(1), c.isAutoIncrement(1),
                c.getColumnTypeName(2), c.getPrecision(2), c.getScale(2));
        }
    }

    static void cancel(Connection db) throws Exception {
        try (Statement s = db.createStatement()) {
            s.setQueryTimeout(1);
            s.execute("SELECT pg_sleep(30)");
            say("cancel", "none");
        } catch (SQLException error) {
            say("cancel", error.getSQLState());
        }
    }

    static void step(String name, Action action) {
        try {
            action.run();
        } catch (Exception error) {
            say(name, "failed", error.toString().replace("\n", " / "));
        }
    }

    interface Action { void run() throws Exception; }

    public static void main(String[] args) throws Exception {
        try (Connection db = DriverManager.getConnection(args[0])) {
            step("types", () -> types(db));
            step("statements", () -> statements(db));
            step("errors", () -> errors(db));
            step("transactions", () -> transactions(db));
            step("metadata", () -> metadata(db));
            step("cancel", () -> cancel(db));
        }
    }
}
