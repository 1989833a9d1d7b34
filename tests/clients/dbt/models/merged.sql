{{ config(materialized='incremental', unique_key='id', incremental_strategy='merge') }}
select id, name{% if is_incremental() %} || '!' as name{% endif %} from {{ ref('priced') }}
