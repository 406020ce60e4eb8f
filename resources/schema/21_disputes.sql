-- Orders raised by people 校核申请 (Order 809 art. 26) and disputes (art. 28), append-only and in the chain of the
-- department that is asked (docs/disputes.md). resources/ledger.py is the only writer.
do $$ begin
    if not exists (select from pg_constraint where conname = 'batches_kinds') then
        alter table ledger.batches drop constraint if exists batches_kind_check;
        alter table ledger.batches add constraint batches_kinds check (kind in (
            'advance', 'notice', 'feedback', 'clock', 'decision', 'erasure', 'request', 'dispute'));
    end if;
end $$;

create table if not exists ledger.requests (
    request_id text primary key,
    request_number text not null unique,
    department text not null,
    applicant text not null,
    resource text not null,
    column_name text not null,
    library text,
    attribute text,
    raised_on date not null,
    reference_date date not null,
    raised_by text not null,
    record_key text,
    entity_id text,
    doubted text,
    proposed text,
    reason text,
    evidence text,
    salt uuid default gen_random_uuid(),
    personal_digest bytea,
    batch integer not null,
    check (case when salt is null
                then personal_digest is not null
                     and num_nonnulls(record_key, entity_id, doubted, proposed, reason, evidence) = 0
                else personal_digest is null and record_key is not null and doubted is not null end)
);
create index if not exists requests_by_batch on ledger.requests (department, batch);
create index if not exists requests_by_day on ledger.requests (raised_on);
comment on table ledger.requests is 'One row per request 校核申请: a data user of another department doubts one value of one record';
comment on column ledger.requests.department is 'The authority that is asked: the department whose record states the value';
comment on column ledger.requests.library is 'The library and attribute the value stands in; null: in none';
comment on column ledger.requests.reference_date is 'The day for which the value is doubted';
comment on column ledger.requests.doubted is 'The value as the record states it; empty: it is missing';

create table if not exists ledger.dispute_events (
    dispute_id text not null,
    number integer not null check (number > 0),
    department text not null,
    dispute_number text not null,
    item_id text not null,
    opponent text not null,
    event text not null,
    state text not null,
    level integer not null check (level between 1 and 4),
    party text not null,
    as_of date not null,
    due_on date,
    rule_version integer,
    library text,
    attribute text,
    actor text not null,
    entity_id text,
    reason text,
    evidence text,
    salt uuid default gen_random_uuid(),
    personal_digest bytea,
    batch integer not null,
    primary key (dispute_id, number),
    check (case when salt is null
                then personal_digest is not null and num_nonnulls(entity_id, reason, evidence) = 0
                else personal_digest is null and reason is not null end)
);
create index if not exists dispute_events_by_batch on ledger.dispute_events (department, batch);
create index if not exists dispute_events_by_item on ledger.dispute_events (item_id);
comment on table ledger.dispute_events is 'One row per thing that happened to a dispute 争议; the last one is its state';
comment on column ledger.dispute_events.opponent is 'Who says the value is wrong: the applicant of a request, else the bureau (city)';
comment on column ledger.dispute_events.party is 'Who said or decided it: a department, the bureau, the superior authority, the government';
comment on column ledger.dispute_events.due_on is 'Last day of this level, where the jurisdiction states one; Order 809 does not';
comment on column ledger.dispute_events.rule_version is 'Of an upheld one: from this version of the rule on its verdict counts again';

create or replace view ledger.request_states as
select
    r.request_id, r.request_number, r.department, r.applicant, r.resource, r.column_name, r.library, r.attribute,
    r.raised_on, r.reference_date, r.raised_by, r.record_key, r.entity_id, r.doubted, r.proposed, r.reason, r.evidence,
    i.item_id, i.department as with_department, e.state, e.closed, e.since, e.order_id, o.order_number, d.due_on,
    d.due_provisional
from ledger.requests r
join ledger.items i on i.finding_id = r.request_id
cross join lateral (
    select * from ledger.events e where e.serial = i.serial order by e.number desc limit 1
) e
join ledger.orders o on o.order_id = e.order_id
cross join lateral (
    select * from ledger.order_events d where d.order_id = e.order_id order by d.number desc limit 1
) d
where e.state <> 'transferred';
comment on view ledger.request_states is 'One row per request: where its item stands, and with which department after a transfer';

create or replace view ledger.dispute_states as
select
    l.dispute_id, l.dispute_number, l.item_id, l.department, l.opponent, f.as_of as opened_on, l.state, l.event,
    l.level, l.party, l.as_of, l.due_on, l.rule_version, l.number, f.library, f.attribute, f.entity_id,
    i.resource, i.rule_id, i.record_key, i.column_name, i.finding_id
from (select distinct on (dispute_id) * from ledger.dispute_events order by dispute_id, number desc) l
join ledger.dispute_events f on f.dispute_id = l.dispute_id and f.number = 1
join ledger.items i on i.item_id = l.item_id;
comment on view ledger.dispute_states is 'One row per dispute: its last event, who opened it when, and the record it is about';

create or replace view ledger.marks as
select 'request' as kind, request_number as number, with_department as department, department as stated_by, resource,
       record_key, column_name, library, attribute, entity_id, raised_on as since
from ledger.request_states where not closed
union all
select 'dispute', dispute_number, department, department, resource, record_key, column_name, library, attribute,
       entity_id, opened_on
from ledger.dispute_states s
where state not in ('upheld', 'rejected', 'withdrawn', 'lapsed')
    and not exists (select from ledger.requests r where r.request_id = s.finding_id);
comment on view ledger.marks is 'One row per value that is doubted by somebody and not settled yet (异议标注): the record that states it, and the attribute of the entity it stands in';
