{{ config(materialized='table', indexes=[{'columns': ['id'], 'unique': true}, {'columns': ['name', 'price']}]) }}
select id, name, price::numeric(10, 2) as price from {{ ref('items') }} where price is not null
