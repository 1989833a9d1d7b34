{{ config(materialized='view') }}
select id, upper(name) as name, bought from {{ ref('items') }}
