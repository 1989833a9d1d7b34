select 1, 'x', null
select * from t order by id
select t.id, u.id from t join u on t.id = u.t_id order by 1, 2
select t.id, u.id from t left join u on t.id = u.t_id and u.a > 1 order by 1, 2
select t.id, u.id from t right join u on t.id = u.t_id order by 2, 1
select t.id, u.id from t full join u on t.id = u.t_id and t.a = u.a order by 1, 2
select id, a from t where a between 1 and 3 and b is not null order by id
select * from t join u using (a) order by t.id, u.id
select * from w natural join u order by 1, 2, 3, 4
select a, count(*), sum(c), avg(e), min(d), max(b) from t group by a order by a
select a, b, count(*) from t group by rollup (a, b) order by a, b, 3
select a, b, grouping(a, b), count(*) from t group by cube (a, b) order by 3, 1, 2, 4
select count(*) from t where false
select sum(a) from nothing
select count(*), sum(x) from t, u where t.a = u.a
select b, count(distinct a), count(a) filter (where a > 1) from t group by b having count(*) > 2 order by b
select distinct a, b from t order by a, b
select distinct on (a) a, id from t order by a, id desc
select a from t union select a from u order by 1
select a from t union all select a from w order by 1
select a from t intersect select a from u order by 1
select a from t except select k from w order by 1
select a from t except all select a from u order by 1
select 1 union select null union select 2.5 order by 1
select id from t order by c desc nulls last, id limit 5 offset 2
select id, (select max(x) from u where u.t_id = t.id) from t order by id
select id, (select count(*) from u where u.t_id = t.id) from t order by id
select id, (select count(*) + 10 from u where u.a = t.a and u.id > t.id) from t order by id
select id, (select coalesce(sum(a), -1) from u where u.t_id = t.id) from t order by id
select id, (select count(*) from u where u.a < t.a) from t order by id
select id, (select sum(w.v) from w where w.a = t.a having count(*) > 1) from t order by id
select id, (select s from u where u.id = t.id) from t order by id
select id from t where exists (select 1 from u where u.t_id = t.id) order by id
select id from t where not exists (select * from u where u.t_id = t.id and u.a = t.a) order by id
select id from t where exists (select t.a from u where u.a > t.a + 1) order by id
select id from t where a in (select a from u) order by id
select id from t where a not in (select a from u) order by id
select id from t where a not in (select a from u where a is not null) order by id
select id from t where a not in (select a from nothing) order by id
select id from t where a not in (select u.a from u where u.t_id = t.id) order by id
select id from t where (a, id) in (select a, t_id from u) order by id
select id from t where (a, id) not in (select a, t_id from u where a is not null) order by id
select id from t where a > all (select a from u where a is not null and a < 3) order by id
select id from t where a > any (select a from u) order by id
select id from t where a >= all (select u.a from u where u.t_id = t.a) order by id
select id, a in (select a from u), a not in (select a from u where a < 3) from t order by id
select id, exists (select 1 from u where u.t_id = t.id), a > all (select a from w where w.k = 1) from t order by id
select id, a = any (select u.a from u where u.t_id = t.id) from t order by id
select id from t where a in (select a from u) or b = 'x' order by id
select id from t where exists (select 1 from u where u.t_id = t.id) or a is null order by id
select id, case when exists (select 1 from u where u.a = t.a) then 'yes' else 'no' end from t order by id
select id, array(select u.id from u where u.a = t.a order by u.id desc) from t order by id
select id, array(select 1 where t.a > 2) from t order by id
select t.id, q.z from t, lateral (select t.a + 1 as z) q order by 1
select t.id, q.id from t, lateral (select u.id from u where u.a = t.a order by u.id limit 2) q order by 1, 2
select t.id, q.id from t left join lateral (select u.id from u where u.a = t.a order by u.x desc nulls last, u.id limit 1) q on true order by 1
select t.id, q.n, q.m from t left join lateral (select count(*) n, max(x) m from u where u.t_id = t.id) q on q.n > 0 order by 1
select t.id, q.n from t cross join lateral (select count(*) n from u where u.t_id = t.id) q order by 1
select t.id, q.s from t, lateral (select sum(u.x) s from u where u.a = t.a group by u.s) q order by 1, 2
select t.id, g from t, generate_series(1, t.a) g order by 1, 2
select u.id, e from u, unnest(u.arr) e order by 1, 2
select u.id, e, n from u, unnest(u.arr) with ordinality as q (e, n) order by 1, 3
select g, (select count(*) from t where a = g) from generate_series(0, 5) g order by 1
select id, generate_series(1, 2) from t where id < 3 order by 1, 2
select t.id, (select max(q.m) from (select u.a, max(u.x) m from u where u.t_id = t.id group by u.a) q) from t order by id
select t.id, (select count(*) from (select a from u where u.t_id = t.id union select a from w where w.a = t.a) q) from t order by id
select t.id, (select count(*) from (select distinct u.a from u where u.t_id < t.id) q) from t order by id
select t.id, (select u.id from u where u.a = t.a order by u.id limit 1 offset 1) x from t order by id
select t.id, (select count(*) from u where u.t_id = t.id and u.a = (select max(w.a) from w where w.v = u.a)) from t order by id
select t.id, (select count(*) from u where u.a = t.a and exists (select 1 from w where w.a = u.a and w.v = t.a)) from t order by id
select t.id, (select count(*) from u left join w on w.a = u.a and w.v = t.a where u.t_id = t.id) from t order by id
select t.id, (select sum(n) from (values (t.a), (t.a * 2), (1)) v (n)) from t order by id
select t.id, (select x from (select u.x, row_number() over (order by u.id) r from u where u.a = t.a) q where r = 2) from t order by id
select t.id from t where t.a = (select min(u.a) from u where u.t_id = t.id) order by 1
select t.id from t where t.a > (select avg(u.a) from u) order by 1
select a from t group by a having count(*) > (select count(*) from u where u.a = t.a) order by 1
select a, (select count(*) from u where u.a = t.a) from t group by a order by 1
select sum((select count(*) from u where u.a = t.a)) from t
select t.id from t left join u on u.t_id = t.id and u.a in (select a from w) order by 1
select id, a, row_number() over (partition by a order by id), sum(a) over (order by id), lag(a) over (order by id), rank() over (order by a) from t
select a, sum(count(*)) over (order by a) from t group by a
select id, first_value(id) over w, last_value(id) over w, count(*) over w from t window w as (partition by b order by id rows between 1 preceding and 1 following)
with q as (select a, count(*) n from t group by a) select q1.a, q2.n from q q1 join q q2 on q1.n = q2.n order by 1, 2
with q (z) as (select a from t), r as (select z + 1 as y from q) select count(*) from r join q on y = z
select id from t where (select count(*) from u) > 3 and id < 4 order by 1
select (select max(t.a)), count(*) from t
select (select t2.b from t t2 where t2.id = max(t.id)) from t
select b, (select string_agg(u.s, ',' order by u.id) from u where u.a = min(t.a)) from t group by b order by 1
select id, coalesce((select u.s from u where u.id = t.a), 'none') from t order by 1
select * from (select t.a, count(*) over (partition by a) n from t) q where n > 2 order by 1
select a, b from t where (a, b) = (1, 'x') or (a, id) < (2, 5) order by id
select id from t where a is distinct from (select max(a) from t t2 where t2.b = t.b) order by 1
select nullif(a, 2), greatest(a, 3, null), least(a, id) from t order by id
select t.b, u.s from t cross join u where t.id = 3 and u.id < 3 order by 2, 1
select a % 3 as m, count(*) from t group by m order by m
select a % 3 as m, count(*) from t group by 1 order by 2 desc, 1
select t.id, t.b, count(u.id) from t left join u on u.t_id = t.id group by t.id order by 1
select -a as a from t order by a, 1
select id, b from t order by length(b), id
select array_agg(id order by id desc) from t where a = 1
select percentile_cont(0.5) within group (order by a) from t
select id from t where b like 'z%' or b ilike 'X' order by 1
select extract(year from d), date_trunc('month', d) from t order by id
select id, arr[1], arr[1:1] from u order by 1
select * from t t1 where not exists (select 1 from t t2 where t2.a = t1.a and not exists (select 1 from u where u.t_id = t2.id)) order by 1
select id from t where a = (select u.a from u where u.t_id = t.id and u.a = t.a limit 1) order by 1
select id from t where a in (1, 2) and b like 'x%' order by 1
select id from t where a not in (1, 2) or b in ('x', 'y') order by 1
select id from t where a = any (array[1, 3]) and 2 = any ('{1,2}') order by 1
select t.id, u.id, w.v from t, u, w where t.a = u.a and u.a = w.a and w.k = 1 and t.id < 9 order by 1, 2, 3
select t.id, u.s from t left join u on u.t_id = t.id where u.s = 'x' order by 1, 2
select t.id, u.id from t full join u on u.t_id = t.id where t.a > 1 order by 1, 2
select q.a, q.n from (select a, count(*) n from t group by a) q where q.a = 2
select * from (select a, b from t union select a, s from u) q where a = 1 order by 1, 2
select * from (select a, row_number() over (partition by a order by id) r from t) q where a = 3 order by 2
select u.s from u left join t on t.id = u.t_id and t.a = 2 where u.a = 1 order by u.id
select t.id from t where (select max(u.a) from u where u.t_id = t.id) > (select min(w.v) from w where w.a = t.a) order by 1
select t.id, (select count(*) from u where u.a = (select max(w.a) from w where w.v = t.a)) from t order by 1
select t.id from t where exists (select 1 from u where u.a = t.a and u.id in (select w.k from w where w.v = t.a)) order by 1
select t.id, q.* from t left join lateral (select u.a, count(*) c from u where u.t_id = t.id or u.a = t.a group by u.a) q on true order by 1, 2, 3
select t.id, (select sum(g) from generate_series(1, t.a) g) from t order by 1
select t.id, (select max(z) from (select u.a + t.a as z from u where u.t_id < t.id union all select t.a) q) from t order by 1
select t.id, (select q.a from (select u.a from u where u.t_id = t.id intersect select w.a from w where w.v = t.a) q limit 1) from t order by 1
select t.id, (select count(*) from u full join w on u.a = w.a where u.t_id = t.id) from t order by 1
select t.id, (select count(*) from u right join w on u.a = w.a and u.t_id = t.id) from t order by 1
select t.id, x.n from t, lateral (select count(*) n from u where u.t_id = t.id) x, lateral (select x.n + 1 as m) y where y.m > 1 order by 1
select t.id, (select array_agg(u.id order by u.id) from u where u.a = t.a) from t order by 1
select t.id, (select u.s from u where u.a = t.a and u.id = (select max(u2.id) from u u2 where u2.a = t.a)) from t order by 1
select a, (select count(*) from u where u.a > q.a) from (select distinct a from t) q order by 1
select count(*) from t where a = all (select a from u where u.t_id = t.id)
select count(*) from t where (a > any (select u.a from u where u.t_id = t.id)) is null
select id, (a not in (select u.a from u where u.t_id = t.id)) from t order by 1
select id, (select a from (values (t.a, 1), (t.id, 2)) v (a, b) where b = 2) from t order by 1
select t.id from t where t.a = (select count(*) from u where u.t_id = t.id) order by 1
select t.id from t where (select count(*) from u where u.t_id = t.id) = 0 order by 1
select t.id from t where not (select exists (select 1 from u where u.t_id = t.id)) order by 1
select t.id, (select coalesce(max(x), 0) + count(*) from u where u.t_id = t.id) from t order by 1
select t.id, (select case when count(*) = 0 then 'none' else 'some' end from u where u.t_id = t.id) from t order by 1
select t.id, (select 'z' || count(*) from u where u.t_id = t.id having count(*) > 1) from t order by 1
select t.id, (select t.b || max(s) from u where u.t_id = t.id) from t order by 1
select t.id, (select t.b || count(*) from u where u.t_id = t.id) from t order by 1
select t.id, (select count(distinct u.a) from u where u.t_id = t.id and u.s is not null) from t order by 1
select t.id, (select sum(u.a) filter (where u.a > t.a) from u) from t order by 1
with r as (select t.id, t.a from t where a > 0) select r.id, (select count(*) from r r2 where r2.a = r.a) from r order by 1
select t.id, (with z as (select * from u where u.t_id = t.id) select count(*) from z z1, z z2) from t order by 1
select sum(n) from (select (select count(*) from u where u.a = t.a) n from t) q
select b from t group by b having exists (select 1 from u where u.a = max(t.a)) order by 1
select b, (select count(*) from u where u.s = t.b) from t group by b order by 1
select distinct (select max(x) from u where u.a = t.a) from t order by 1
select id from t order by (select count(*) from u where u.a = t.a), id
select t.id, u.id from t left join u on u.t_id = t.id and exists (select 1 from w where w.a = u.a) order by 1, 2
select case when a in (select a from u) then (select max(id) from u) else 0 end from t order by id
select t.id from t, u where t.a = u.a and u.x > (select avg(u2.a) from u u2 where u2.t_id = t.id) order by 1
select id, array(select u.id from u where u.a > t.a order by u.id limit 2) from t order by 1
select q.id, g.n from (select id, a from t where a < 3) q, lateral generate_series(q.a, 3) as g (n) order by 1, 2
select id, (select string_agg(x.s, '-' order by x.id desc) from (select u.* from u where u.a = t.a) x) from t order by id
select * from (select a, count(*) from t group by grouping sets ((a), ())) q order by 1 nulls first, 2
select a from t where a is not null group by grouping sets ((a), ()) having count(*) > 3 order by 1
select (select count(*) from t t2 where t2.a = t1.a and t2.id <= t1.id) rn, t1.id from t t1 order by t1.a, t1.id
select 1 where exists (select 1 from nothing) or not exists (select 1 from nothing)
select a, b from t order by a nulls first, b desc, id fetch first 3 rows with ties
select t.id from t where row(t.a, t.id) > (select u.a, u.id from u where u.id = 3) order by 1
select count(*) from t natural left join u
select t.a, u.a from t left join u using (a) where a = 1 order by t.id, u.id
select a from t full join u using (a) order by 1
select x.a, y.a from t x, t y where x.a = y.a and x.id < y.id order by x.id, y.id
select id, lead(a, 1, -1) over (order by id), ntile(3) over (order by id) from t
select max(a) - min(a), count(distinct b) filter (where a > 0) from t
select sum(a) as s from t group by b order by s nulls first
select b as a, count(*) from t group by b order by 1
select length(b) l, count(*) from t group by l order by l
select t.* from t where t.a = 1 order by id
select 5 / 2, -5 / 2, 5 % -3, 2 ^ 3, 7.0 / 2
select 'a' || 1, 1 || 'a', null || 'x'
select a between symmetric 3 and 1 from t order by id
select not a > 2 or b = 'x' from t order by id
select id from t where exists (select 1 from nothing) order by id
select id from t where exists (select 1 from u) and id < 3 order by id
select id from t where not exists (select 1 from u where u.a = 2) order by id
select id from t where not exists (select 1 from nothing) and id < 2 order by id
select t.id, u.id from t left join u on true where t.id < 2 order by 1, 2
select t.id, nothing.a from t left join nothing on true where t.id < 2 order by 1
select t.id, u.id from t left join u on false where t.id < 2 order by 1
select t.id, q.n from t left join lateral (select max(u.a) n from u where t.a is null) q on true order by 1
-- keys with different null rules in nested joins
select x1.k, x1.a from w x1 where (x1.k < x1.k or x1.a = (select count(*) from t x7 where x7.id < 0)) and x1.a < (select sum(x9.a) from t x9 where x1.k = x9.a or x9.a is not null)
select t.id, u.id, w.k from t join u on t.a = u.a and t.e is not distinct from t.e join w on w.a is not distinct from u.t_id and w.v = t.a
select x1.k, x1.a, (select max(x2.a) from w x2 where x2.a = x2.a and not exists (select 1 from u x3 where x3.a > x1.k and x3.t_id <> 3)), q.z from w x1 left join lateral (select x5.a from w x4 full join t x5 on x4.v = x5.a where exists (select x6.id from u x6 where ((x6.t_id > x6.t_id or ((((((x6.id = x5.a or (x6.id is null or x6.a = x6.id)) or x6.a = 3) or x4.a < 0) or (((x5.id = 2 or (x5.id = x6.id or (x6.id = 1 or x6.id > x6.id))) or (x6.id < x6.a or x4.k > 0)) or (x6.a = x6.t_id or (x1.a = 2 or ((x6.a > x6.a or x4.a < x4.k) or x6.id = x6.a))))) or x6.t_id < x6.id) or (((x6.a = x6.id or (((x6.a is null or x6.id > x1.v) or (x6.a = x6.t_id or x5.id is null)) or (x4.k = x4.k or x6.t_id = x6.a))) or x6.t_id > x6.a) or x5.a <> x6.a))) or x6.a <> x6.a) and x4.v > 0)) as q(z) on true where (x1.k < x1.k or x1.a = (select count(*) from t x7 left join u x8 on x7.a = x8.t_id and ((x8.id < x8.id or not (x8.t_id = x8.t_id)) or (x8.t_id > x8.t_id or x7.a = 3)) where x8.id = 1)) and x1.a < (select sum(x9.a) from t x9 full join u x10 on x9.id = x10.a where (((((x10.a > 0 or x10.t_id < 0) or (((x10.t_id > 0 or x9.id = x10.t_id) or x1.k = x9.a) or x10.a = 2)) or x10.t_id is not null) or (x10.a = x10.id or not (((x9.id < 1 or x10.t_id > x1.a) or x10.t_id is null)))) or x10.a is not null))
-- correlated subqueries with a full join inside, subqueries over both sides of an outer join
select t.id, (select count(u.id) from u full join w on u.a = w.a and w.v > t.a where u.t_id = t.id or w.k = t.a) from t
select t.id, q.* from t left join lateral (select u.id, w.k from (select * from u where u.a < t.a) u full join w on u.a = w.a) q(x, y) on q.x is null or q.y > 1
select t.id, (select max(f.a) from (select a from u where u.t_id = t.id) u full join (select a from w where w.v = t.a) f on u.a = f.a) from t
select t.id, u.id from t left join u on t.a = u.a and exists (select from w where w.a = t.a and w.v = u.t_id)
select t.id, u.id from t right join u on u.t_id > (select min(w.v) from w where w.a = t.a or w.k = u.a)
select t.id, u.id from t left join u on t.id = u.t_id and t.a in (select w.a from w where w.v <> u.a)
select t.id, q.id from t left join lateral (select u.id, u.a from u where u.t_id >= t.a) q on q.a > (select avg(w.v) from w where w.a = t.a and w.k <> q.id)
