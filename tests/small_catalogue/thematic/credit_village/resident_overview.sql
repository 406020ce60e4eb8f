select
    p.id_number,
    p.name,
    p.marital_status,
    count(e.uscc)::bigint as enterprises
from base.population p
left join base.legal_entity e on e.legal_person_id = p.id_number
group by all
