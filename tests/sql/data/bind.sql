select a, b, c, d, e from t
select a::bigint + 1, a + 1.5, a / 2, e * a, c * 2, c + a, b || 1, -c, a % 3, 2 ^ a from t
select null, 'x', 1, 10000000000, 1.5, 1e10, true, date '2020-01-01', interval '1 day', now()
select sum(a), sum(c), sum(e), avg(a), avg(e), min(b), max(d), count(*), bool_and(a > 1), array_agg(a), string_agg(b, ',') from t
select coalesce(a, 1.5), case when a > 1 then a else c end, nullif(a, 2), greatest(a, e), least(b, 'x') from t
select d + interval '1 day', d - d, date '2020-01-01' + 1, d::date, extract(year from d), date_trunc('day', d), d at time zone 'UTC' from t
select a = 1, b like 'x', a is null, a in (1, 2), not (a > 1), a between 1 and 2 from t
select row_number() over (), rank() over (order by a), sum(a) over (), lag(b) over (order by a), ntile(2) over (order by a) from t
select array[1, 2], array[a, 1.5], arr[1], arr[1:2], array(select a from t), '{1,2}'::int[] from u
select (select a from t limit 1), exists (select 1), a in (select a from u) from t
select 1 as one union select 2.5
select 'a' union select b from t
values (1, 'a'), (2.5, null)
select s, s || 'x', upper(s), length(s), s::char(3), b::varchar(5) from t, u
select $1::int, $2 + a, $3 || b from t
select a from t where b = $1 and a = $2 and c > $3
select * from t limit $1 offset $2
select * from t join u using (a)
select * from t natural join u
select t.*, u.a as ua from t, u
select x.* from (select a as z, b from t) x
select generate_series(1, 3), unnest(arr) from u
select g, o from generate_series(1, 2) with ordinality as q (g, o)
select current_date, current_timestamp, current_user, localtimestamp
select cast(a as text), a::text::int, '5'::int, text 'x', float8 '1.5' from t
select count(*) filter (where a > 1), count(distinct b) from t
select percentile_cont(0.5) within group (order by a), mode() within group (order by b) from t
select grouping(a), a from t group by rollup (a)
select round(c, 1), abs(a), ceil(e), mod(a, 2), power(a, 2), sqrt(e), trunc(c) from t
select substring(b from 1 for 2), position('x' in b), trim(b), lower(b), replace(b, 'x', 'y'), left(b, 1), split_part(b, ',', 1) from t
select to_char(d, 'YYYY'), to_timestamp(1), age(d, d), make_date(2020, 1, 1), md5(b) from t
select a as "Q", b as select from t
select 'x' as a order by a
select nosuch from t
select t.nosuch from t
select x.a from t
select t.a from t x
select a from t, u
select nosuch(a) from t
select upper(a) from t
select a + b from t
select a || c from t where a + 'x' = 1
select 'x'::int
select 1 + 'abc'
select a from t where a
select a from t where b = 1
select a from nosuch
select a from s.nosuch
select a, b from t group by b
select a from t group by b
select id, a from t group by id
select sum(a), b from t
select a from t having a > 1
select sum(sum(a)) from t
select sum(a) from t where sum(a) > 1
select a from t where row_number() over () = 1
select row_number() from t
select upper(b) over () from t
select upper(distinct b) from t
select upper(b) filter (where true) from t
select count() from t
select upper(*) from t
select a from t order by 3
select a from t order by nosuch
select a from t order by 'x'
select a as z from t order by z + 1
select a, b from t group by 3
select distinct a from t order by b
select distinct on (a) b from t order by b
select a from t union select a, b from t
select a from t union select b from t
select a from t union select a from u order by a + 1
select a from t union select a from u order by nosuch
select 1 union select 'x'
select case when a then 1 end from t
select case when true then 1 else 'x' end
select case a when 'x' then 1 end from t
select coalesce(1, 'x')
select coalesce(a, b) from t
select a in (1, 'x') from t
select (select a, b from t)
select a in (select a, b from t) from t
select (a, b) in (select a from t) from t
select (1, 2) = (1, 2, 3)
select * from t a, u a
select * from t join u on nosuch = 1
select * from t join u using (nosuch)
select * from t join u using (b)
select * from t, (select t.a) x
select * from t, lateral (select t.nosuch) x
select * from t limit a
select * from t limit 'x'
select * from t limit 1.5
select * from (select 1) x (a, b)
select * from t x (a, b, c, d, e, f, g, h)
with q as (select 1), q as (select 2) select 1
with q (a, b) as (select 1) select * from q
with q as (select nosuch) select 1
select a::nosuch from t
select cast(d as int) from t
select cast(true as date)
select a::numeric(2000) from t
select *
select nosuch.* from t
select array[1, 'x']
select array[]
select array[1, true]
select a[1] from t
select arr['x'] from u
select arr[1.5] from u
select generate_series(1, 2) from t where generate_series(1, 2) > 1
select case when true then generate_series(1, 2) end
select sum(a) over (order by b rows b preceding) from t
select sum(a) over w from t
select sum(a) over (w order by a) from t window w as (order by b)
select sum(distinct a) over () from t
select rank() over (order by a range 1 preceding), sum(a) over (range 1 preceding) from t
select a from t where exists (select sum(t.a) from u)
select (select sum(t.a)) from t
select (select t.b) from t group by a
select a from t group by sum(a)
select count(*) from t group by row_number() over ()
select a collate "nosuch" from t
select b collate "C" from t
select a at time zone 'x' from t
select a is true from t
select not a from t
select a and true from t
select -b from t
select a ~ 1 from t
select 5 between 'a' and 6
select max(a, b) from t
select b[1] from t
select (1, 2)
select $1
select $1 + $2
select $1::int + $1
select 1 where $1 = $1
select json '{}' = json '{}'
select json '{}' order by 1
select distinct j from (select json '{}' j) x
select date '2020-13-01'
select timestamp 'nope'
select '1 foo'::interval
select extract(foo from d) from t
select a.b.c.d.e from t
select lag(a) from t
select string_agg(b) from t
select percentile_cont(0.5) from t
select sum(a) within group (order by a) from t
select * from generate_series(1, 'x')
select * from upper('x') u
select * from nosuch(1)
select t from t
select 1 from t group by nosuch
select b, count(*) c from t group by c
select sum(a) filter (where sum(a) > 1) from t
select count(*) from t order by a
select a from t for update
select greatest(1, 'x')
select nullif(1, 'x')
select 1 in (select 'x')
select a > any (b) from t
select a = any ('{1,x}') from t
select 1::text + 1
select 99999999999999999999::int
select 3000000000::int
select '3000000000'::int
select interval '1' year to month, interval '5' day
select int4 '7' + int2 '3', 7::smallint / 2::smallint
select row_number() over (order by sum(a)) from t
select b from t group by upper(b)
select upper(b) from t group by upper(b)
select t.a from t right join u on t.a = u.a, lateral (select u.x + t.a) q
