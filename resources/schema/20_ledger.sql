-- The correction ledger: append-only, chained by batch and department. Grants are in 90_grants.sql.
-- One transaction of the pipeline writes one batch per department it concerns; resources/ledger.py is the only writer.

create table if not exists ledger.batches (
    department text not null,
    batch integer not null check (batch > 0),
    kind text not null check (kind in ('advance', 'notice', 'feedback', 'decision')),
    source text not null,
    as_of date not null,
    author text not null,
    recorded_at timestamptz not null default transaction_timestamp(),
    previous_digest text not null,
    digest text not null,
    primary key (department, batch)
);
create unique index if not exists feedback_files on ledger.batches (department, source) where kind = 'feedback';
comment on table ledger.batches is 'One row per department and transaction: the links of its hash chain';
comment on column ledger.batches.source is 'What it came from: sha256 of a feedback file, else empty';
comment on column ledger.batches.digest is 'sha256 of the previous digest and everything the batch holds, see ledger.link';

create table if not exists ledger.orders (
    order_id text primary key,
    order_number text not null unique,
    department text not null,
    resource text not null,
    rule_id text not null,
    delivery_id text not null,
    standard text,
    dimension text not null,
    indicator text not null,
    severity text not null,
    opened_on date not null,
    due_on date not null,
    due_provisional boolean not null,
    batch integer not null
);
create index if not exists orders_by_batch on ledger.orders (department, batch);
create index if not exists orders_by_day on ledger.orders (opened_on);
comment on table ledger.orders is 'One row per correction order 纠错工单: department, resource, rule, delivery and the day it was opened';
comment on column ledger.orders.due_on is 'Last working day for the reply (Order 809 art. 26), counted from the notice on opened_on';
comment on column ledger.orders.due_provisional is 'The deadline reaches beyond the published calendar of working days';

create table if not exists ledger.items (
    item_id text primary key,
    department text not null,
    resource text not null,
    rule_id text not null,
    record_key text not null,
    column_name text not null,
    opened_on date not null,
    batch integer not null
);
create index if not exists items_by_batch on ledger.items (department, batch);
comment on table ledger.items is 'One row per correction item; its id is the finding''s';

create table if not exists ledger.events (
    item_id text not null,
    number integer not null check (number > 0),
    department text not null,
    event text not null,
    state text not null,
    closed boolean not null,
    since date not null,
    order_id text not null,
    as_of date not null,
    delivery_id text not null,
    record_hash text not null,
    observed text,
    suggested text,
    reason text,
    evidence text,
    by_date date,
    actor text not null,
    notified_on date,
    relapses integer not null,
    batch integer not null,
    primary key (item_id, number)
);
alter table ledger.events add column if not exists suggestion_method text;
alter table ledger.events add column if not exists suggestion_confidence double precision;
create index if not exists events_by_batch on ledger.events (department, batch);
create index if not exists events_by_order on ledger.events (order_id, item_id, number desc);
create index if not exists events_by_day on ledger.events (as_of);
comment on table ledger.events is 'One row per thing that happened to an item; the last one is its state';
comment on column ledger.events.since is 'Day on which the item entered the state it has after this event';
comment on column ledger.events.delivery_id is 'Delivery that was judged; other events carry on the one before';
comment on column ledger.events.record_hash is 'Hash of the record as it was judged';
comment on column ledger.events.observed is 'The wrong value judged last; after a verification the right one';
comment on column ledger.events.suggestion_method is 'How the suggested value was found: catalog.models.Method';
comment on column ledger.events.suggestion_confidence is 'How sure it is, above 0 and up to 1; null: not measured';
comment on column ledger.events.actor is 'Run, department or person';
comment on column ledger.events.relapses is 'How often the item failed again after it was verified';

-- Everything one batch holds, as one digest. Any changed, missing or added row changes it.
create or replace function ledger.content(wanted_department text, wanted_batch integer) returns text
language sql stable as $$
    select encode(sha256(convert_to(coalesce(string_agg(line, '' order by line), ''), 'UTF8')), 'hex')
    from (
        select encode(sha256(convert_to('order' || row_to_json(o)::text, 'UTF8')), 'hex') as line
        from ledger.orders o where department = wanted_department and batch = wanted_batch
        union all
        select encode(sha256(convert_to('item' || row_to_json(i)::text, 'UTF8')), 'hex')
        from ledger.items i where department = wanted_department and batch = wanted_batch
        union all
        -- What has no suggestion keeps the digest it had before suggestions told how they were found.
        select encode(sha256(convert_to('event' || replace(row_to_json(e)::text,
            ',"suggestion_method":null,"suggestion_confidence":null}', '}'), 'UTF8')), 'hex')
        from ledger.events e where department = wanted_department and batch = wanted_batch
    ) lines
$$;

-- The digest of one batch: its own statement, what it holds, and the digest before it.
create or replace function ledger.link(
    department text, batch integer, kind text, source text, as_of date, author text, recorded_at timestamptz,
    previous_digest text
) returns text
language sql stable as $$
    select encode(sha256(convert_to(json_build_array(
        department, batch, kind, source, as_of::text, author, extract(epoch from recorded_at)::text, previous_digest,
        ledger.content(department, batch)
    )::text, 'UTF8')), 'hex')
$$;

create or replace view ledger.item_states as
select
    i.item_id, i.department, i.resource, i.rule_id, i.record_key, i.column_name, i.opened_on,
    e.state, e.closed, e.since, e.order_id, o.order_number, o.opened_on as ordered_on, o.severity, o.due_on,
    o.due_provisional,
    e.number, e.event, e.as_of, e.delivery_id, e.record_hash, e.observed, e.suggested, e.reason, e.evidence,
    e.by_date, e.actor, e.notified_on, e.relapses, e.suggestion_method, e.suggestion_confidence
from ledger.items i
cross join lateral (
    select * from ledger.events e where e.item_id = i.item_id order by e.number desc limit 1
) e
join ledger.orders o on o.order_id = e.order_id;
comment on view ledger.item_states is 'One row per correction item: where it stands now';

create or replace view ledger.order_states as
select
    o.order_id, o.order_number, o.department, o.resource, o.rule_id, o.delivery_id, o.standard, o.dimension,
    o.indicator, o.severity, o.opened_on, o.due_on, o.due_provisional,
    s.items, s.open, s.items - s.open as closed, s.verified, s.relapsed,
    case when s.open = 0 then s.last_event end as closed_on
from ledger.orders o
join (
    select
        order_id,
        count(*) as items,
        count(*) filter (where not closed) as open,
        count(*) filter (where state in ('verified_as_suggested', 'verified_otherwise')) as verified,
        count(*) filter (where relapses > 0) as relapsed,
        max(as_of) as last_event
    from (
        select distinct on (order_id, item_id) order_id, closed, state, relapses, as_of
        from ledger.events
        order by order_id, item_id, number desc
    ) last_events
    group by order_id
) s using (order_id);
comment on view ledger.order_states is 'One row per correction order: its items as they stand in it; a relapse belongs to a new order';
