CREATE TABLE t (id int PRIMARY KEY, a int, b text, c numeric(8,2), d timestamp, e float8);
CREATE TABLE u (a int, x bigint, s varchar(10), arr int[]);
