//! tokio-postgres (by its blocking face) as applications use it. Prints one line per answer; the same
//! lines are expected of every server.
use postgres::{types::Type, Client, Error, NoTls, SimpleQueryMessage};
use std::io::{Read, Write};

fn problem(error: Error) -> String {
    match error.as_db_error() {
        Some(e) => format!("{} | {} | {:?} | {:?}", e.code().code(), e.message(), e.detail(), e.constraint()),
        None => format!("{error:?}"),
    }
}

fn main() -> Result<(), Error> {
    let mut db = Client::connect(&std::env::args().nth(1).unwrap(), NoTls)?;
    let statement = db.prepare_typed(
        "SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::text, $8::bytea, $9::uuid, \
         $10::int4[], $11::jsonb, $12::text, $13::text[]",
        &[Type::BOOL, Type::INT2],
    )?;
    println!("parameters | {:?}", statement.params());
    for column in statement.columns() {
        println!("column | {} | {}", column.name(), column.type_());
    }
    let id = uuid::Uuid::from_u128(0xa0eebc99_9c0b_4ef8_bb6d_6bb9bd380a11);
    let json = serde_json::json!({"b": 1, "a": [true, null]});
    let none: Option<&str> = None;
    let row = db.query_one(
        &statement,
        &[&true, &-3i16, &i32::MAX, &i64::MIN, &1.5f32, &-2.25f64, &"zwölf", &vec![0u8, 255], &id,
          &vec![Some(1i32), None, Some(3)], &json, &none, &vec!["a,b", "\"c\"", ""]],
    )?;
    println!(
        "types | {} {} {} {} {} {} {} {:?} {} {:?} {} {:?} {:?}",
        row.get::<_, bool>(0), row.get::<_, i16>(1), row.get::<_, i32>(2), row.get::<_, i64>(3),
        row.get::<_, f32>(4), row.get::<_, f64>(5), row.get::<_, String>(6), row.get::<_, Vec<u8>>(7),
        row.get::<_, uuid::Uuid>(8), row.get::<_, Vec<Option<i32>>>(9), row.get::<_, serde_json::Value>(10),
        row.get::<_, Option<String>>(11), row.get::<_, Vec<String>>(12),
    );

    for message in db.simple_query("CREATE TABLE rust_items (id int PRIMARY KEY, name text NOT NULL); SELECT 1 AS a, 'x' AS b")? {
        match message {
            SimpleQueryMessage::Row(row) => println!("simple | {:?} {:?}", row.get(0), row.get("b")),
            SimpleQueryMessage::CommandComplete(rows) => println!("simple | {rows}"),
            _ => {}
        }
    }
    let mut writer = db.copy_in("COPY rust_items FROM STDIN")?;
    writer.write_all(b"1\tone\n2\ttwo\n3\tthree\n").unwrap();
    println!("copied | {}", writer.finish()?);
    let mut writer = db.copy_in("COPY rust_items FROM STDIN (FORMAT csv)")?;
    writer.write_all(b"4,four\nfive,5\n").unwrap();
    println!("copy error | {}", problem(writer.finish().unwrap_err()));
    let mut text = String::new();
    db.copy_out("COPY (SELECT * FROM rust_items ORDER BY id) TO STDOUT (FORMAT csv, HEADER)")?
        .read_to_string(&mut text)
        .unwrap();
    println!("copied out | {text:?}");

    let mut transaction = db.transaction()?;
    println!("inserted | {}", transaction.execute("INSERT INTO rust_items VALUES ($1, $2)", &[&10i32, &"ten"])?);
    let portal = transaction.bind("SELECT id FROM rust_items ORDER BY id", &[])?;
    for size in [2, 1, 0] {
        let rows = transaction.query_portal(&portal, size)?;
        println!("portal | {:?}", rows.iter().map(|r| r.get::<_, i32>(0)).collect::<Vec<_>>());
    }
    transaction.rollback()?;
    for (text, value) in [
        ("INSERT INTO rust_items VALUES ($1, 'again')", 1i32),
        ("SELECT 1 / $1::int4", 0),
        ("SELECT missing FROM rust_items WHERE id = $1", 0),
        ("SELECT * FROM missing WHERE id = $1", 0),
    ] {
        match db.query(text, &[&value]) {
            Ok(rows) => println!("error | none {}", rows.len()),
            Err(error) => println!("error | {}", problem(error)),
        }
    }
    println!("left | {}", db.query_one("SELECT count(*) FROM rust_items", &[])?.get::<_, i64>(0));
    db.execute("DROP TABLE rust_items", &[])?;
    Ok(())
}
