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
