{{ config(materialized='materialized_view') }}
select name, sum(price) as total, count(*) as items from {{ ref('priced') }} group by name
