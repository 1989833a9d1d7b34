{{ config(materialized='incremental', unique_key='id') }}
select id, name, 1 as runs from {{ ref('priced') }}
{% if is_incremental() %} where id > (select max(id) - 1 from {{ this }}) {% endif %}
