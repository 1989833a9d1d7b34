{{ config(materialized='ephemeral') }}
select id from {{ ref('priced') }} where price > 2
