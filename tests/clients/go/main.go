// pgx as applications use it. Prints one line per answer; the same lines are expected of every server.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

func say(parts ...any) {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = strings.ReplaceAll(fmt.Sprintf("%v", part), "\n", " / ")
	}
	fmt.Println(strings.Join(texts, " | "))
}

func must(err error) {
	if err != nil {
		say("failed", err)
		os.Exit(1)
	}
}

func types(ctx context.Context, db *pgx.Conn) {
	args := []any{true, int16(-3), int32(2147483647), int64(-9223372036854775808), float32(1.5), -2.25,
		pgtype.Numeric{}, "zwölf", []byte{0, 255}, time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		pgtype.Time{Microseconds: 86399999999, Valid: true},
		pgtype.Timestamp{Time: time.Date(2024, 12, 31, 23, 59, 59, 123456000, time.UTC), Valid: true},
		time.Date(2024, 6, 1, 12, 0, 0, 0, time.FixedZone("", 7200)),
		pgtype.UUID{Bytes: [16]byte{1, 2, 3, 15: 255}, Valid: true}, []int32{1, 2, 3},
		`{"b": 1}`, pgtype.Interval{Months: 14, Days: -3, Microseconds: 1500000, Valid: true}, nil}
	casts := []string{"bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "bytea", "date", "time",
		"timestamp", "timestamptz", "uuid", "int4[]", "jsonb", "interval", "text"}
	columns := make([]string, len(casts))
	for i, cast := range casts {
		columns[i] = fmt.Sprintf("$%d::%s AS c%d", i+1, cast, i)
	}
	text := "SELECT " + strings.Join(columns, ", ")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
		pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		given := append([]any{mode}, args...)
		rows, err := db.Query(ctx, text, given...)
		if err == nil {
			for rows.Next() {
				values, _ := rows.Values()
				say("types", values)
			}
			err = rows.Err()
		}
		if err != nil {
			say("types", mode, err)
		}
	}
	for _, number := range []string{"0", "-0.00", "12345678901234567890.0987654321", "1e-20", "NaN", "1e30"} {
		var back string
		must(db.QueryRow(ctx, "SELECT ($1::numeric)::text", number).Scan(&back))
		var n pgtype.Numeric
		must(db.QueryRow(ctx, "SELECT $1::numeric", number).Scan(&n))
		say("numeric", back, n.Int, n.Exp, n.NaN)
	}
}

func failing(ctx context.Context, db *pgx.Conn, text string, args ...any) {
	_, err := db.Exec(ctx, text, args...)
	var problem *pgconn.PgError
	if errors.As(err, &problem) {
		say("error", problem.Code, problem.Message, problem.Detail, problem.ConstraintName, problem.TableName)
	} else {
		say("error", "none", err)
	}
}

func main() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	db, err := pgx.Connect(ctx, os.Args[1])
	must(err)
	defer db.Close(ctx)
	types(ctx, db)

	_, err = db.Exec(ctx, "CREATE TABLE go_items (id bigint PRIMARY KEY, name text, at timestamptz, price numeric)")
	must(err)
	var rows [][]any
	for i := int64(0); i < 1000; i++ {
		rows = append(rows, []any{i, fmt.Sprintf("n%d", i), time.Unix(i, 0), pgtype.Numeric{}})
	}
	copied, err := db.CopyFrom(ctx, pgx.Identifier{"go_items"}, []string{"id", "name", "at", "price"}, pgx.CopyFromRows(rows))
	say("copied", copied, err)
	batch := &pgx.Batch{}
	batch.Queue("UPDATE go_items SET name = $1 WHERE id < $2", "x", int64(10))
	batch.Queue("SELECT count(*), min(at), sum(id) FROM go_items WHERE name = 'x'")
	batch.Queue("SELECT id FROM go_items WHERE id = ANY($1) ORDER BY id", []int64{5, 7, 5000})
	results := db.SendBatch(ctx, batch)
	tag, err := results.Exec()
	say("batch", tag, err)
	var count, sum int64
	var first time.Time
	err = results.QueryRow().Scan(&count, &first, &sum)
	say("batch", count, first.UTC(), sum, err)
	found, err := results.Query()
	must(err)
	ids, err := pgx.CollectRows(found, pgx.RowTo[int64])
	say("batch", ids, err, results.Close())

	failing(ctx, db, "SELECT nothing FROM go_items")
	failing(ctx, db, "INSERT INTO go_items (id) VALUES ($1)", int64(1))
	failing(ctx, db, "SELECT 1 / $1::int", 0)
	tx, err := db.Begin(ctx)
	must(err)
	inner, err := tx.Begin(ctx) // a savepoint
	must(err)
	_, err = inner.Exec(ctx, "DELETE FROM go_items")
	must(err)
	must(inner.Rollback(ctx))
	var left int
	must(tx.QueryRow(ctx, "SELECT count(*) FROM go_items").Scan(&left))
	say("savepoint", left, tx.Commit(ctx))

	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	canceled, err := pgx.Connect(ctx, os.Args[1])
	must(err)
	_, err = canceled.Exec(short, "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b")
	cancel()
	say("cancel", err != nil)

	pool, err := pgxpool.New(ctx, os.Args[1])
	must(err)
	total := make(chan int, 20)
	for i := 0; i < 20; i++ {
		go func(i int) {
			var twice int
			must(pool.QueryRow(ctx, "SELECT $1::int * 2", i).Scan(&twice))
			total <- twice
		}(i)
	}
	all := 0
	for i := 0; i < 20; i++ {
		all += <-total
	}
	say("pool", all)
	pool.Close()
	_, err = db.Exec(ctx, "DROP TABLE go_items")
	must(err)
}
