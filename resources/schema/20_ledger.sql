-- The correction ledger: append-only, chained by batch and department (docs/ledger.md);
-- grants in 90_grants.sql.
-- One transaction of the pipeline writes one batch per department it concerns; resources/ledger.py is the only writer.
do $$ begin
    if to_regclass('ledger.batches') is not null and not exists (
        select from pg_attribute where attrelid = to_regclass('ledger.events') and attname = 'serial'
    ) then
        raise exception 'the ledger of this home was written by an earlier version in another form: make a new home '
            '(SHUYUAN_HOME) and deliver again, or go on with the version that made it';
    end if;
end $$;

create table if not exists ledger.batches (
    department text not null,
    batch integer not null check (batch > 0),
    kind text not null,
    source text not null,
    as_of date not null,
    author text not null,
    recorded_at timestamptz not null default transaction_timestamp(),
    content text not null,
    previous_digest text not null,
    digest text not null,
    primary key (department, batch)
);
create unique index if not exists feedback_files on ledger.batches (department, source) where kind = 'feedback';
comment on table ledger.batches is 'One row per department and transaction: the links of its hash chain';
comment on column ledger.batches.source is 'What it came from: sha256 of a feedback file, else empty';
comment on column ledger.batches.content is 'sha256 of the sorted digests of its rows: docs/ledger.md';
comment on column ledger.batches.digest is 'sha256 of its own statement, content and the previous digest: docs/ledger.md';

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
comment on column ledger.orders.due_on is 'The first deadline (Order 809 art. 26), counted from the notice on opened_on; the one now: order_states';
comment on column ledger.orders.due_provisional is 'The deadline reaches beyond the published calendar of working days';

create table if not exists ledger.order_events (
    order_id text not null,
    number integer not null check (number > 0),
    department text not null,
    event text not null,
    state text not null,
    as_of date not null,
    due_on date not null,
    due_provisional boolean not null,
    working_days integer not null check (working_days > 0),
    paused_days integer not null check (paused_days >= 0),
    level integer not null check (level >= 0),
    actor text not null,
    reason text,
    evidence text,
    batch integer not null,
    primary key (order_id, number)
);
create index if not exists order_events_by_batch on ledger.order_events (department, batch);
create index if not exists order_events_by_day on ledger.order_events (as_of);
comment on table ledger.order_events is 'One row per thing that happened to an order; the last one is its state';
comment on column ledger.order_events.due_on is 'The deadline after this event';
comment on column ledger.order_events.working_days is 'Working days from the notice to the deadline: allowed, extension and pauses together';
comment on column ledger.order_events.paused_days is 'Working days the clock has stood so far';
comment on column ledger.order_events.level is 'How far it was escalated: 0 not, 1 steward, 2 department head, 3 bureau, 4 supervision list';

-- salt, personal_digest: personal values can be taken out by law and the chain stays whole.
create table if not exists ledger.items (
    item_id text primary key,
    serial bigint not null unique check (serial > 0),
    finding_id text not null,
    department text not null,
    resource text not null,
    rule_id text not null,
    record_key text,
    column_name text not null,
    opened_on date not null,
    transferred_from text,
    salt uuid default gen_random_uuid(),
    personal_digest bytea,
    batch integer not null,
    check (case when salt is null then personal_digest is not null and record_key is null
                else personal_digest is null and record_key is not null end)
);
create index if not exists items_by_batch on ledger.items (department, batch);
comment on table ledger.items is 'One row per correction item; its id is the finding''s, unless it was transferred';
comment on column ledger.items.serial is 'Counts all items as they are opened: what happened to those of one day lies together, and is written and read so';
comment on column ledger.items.finding_id is 'The finding whose rule judges it';
comment on column ledger.items.transferred_from is 'The item of another department it was, with the history before';

create table if not exists ledger.events (
    serial bigint not null,
    number integer not null check (number > 0),
    item_id text not null,
    department text not null,
    event text not null,
    state text not null,
    closed boolean not null,
    since date not null,
    order_id text not null,
    as_of date not null,
    delivery_id text not null,
    rule_version integer not null,
    record_hash text,
    content_hash text,
    observed text,
    suggested text,
    suggestion_method text,
    suggestion_confidence double precision,
    reason text,
    evidence text,
    by_date date,
    actor text not null,
    notified_on date,
    relapses integer not null,
    salt uuid default gen_random_uuid(),
    personal_digest bytea,
    batch integer not null,
    primary key (serial, number),
    check (case when salt is null
                then personal_digest is not null
                     and num_nonnulls(content_hash, evidence, observed, reason, record_hash, suggested) = 0
                else personal_digest is null and record_hash is not null end)
);
-- Only by these an item comes into an order; what happens to it in there has the order's id too.
create index if not exists events_by_order on ledger.events (order_id) where event in ('opened', 'reopened');
create index if not exists events_by_day on ledger.events using brin (as_of);
create index if not exists events_that_except on ledger.events (item_id) where event in ('upheld', 'transferred');
comment on table ledger.events is 'One row per thing that happened to an item; the last one is its state';
comment on column ledger.events.serial is 'That of the item';
comment on column ledger.events.since is 'Day on which the item entered the state it has after this event';
comment on column ledger.events.delivery_id is 'Delivery that was judged; other events carry on the one before';
comment on column ledger.events.rule_version is 'Version of the rule that judged; other events carry on the one before';
comment on column ledger.events.record_hash is 'Hash of the record as it was judged';
comment on column ledger.events.content_hash is 'Hash of the record without its key when no other of its pool had the same: it is known by it under another key';
comment on column ledger.events.observed is 'The wrong value judged last; after a verification the right one';
comment on column ledger.events.suggestion_method is 'How the suggested value was found: catalog.rules.Method';
comment on column ledger.events.suggestion_confidence is 'How sure it is, above 0 and up to 1; null: not measured';
comment on column ledger.events.actor is 'Run, department or person';
comment on column ledger.events.relapses is 'How often the item failed again after it was verified';

create or replace view ledger.order_items as
select o.order_id, e.*
from (select distinct order_id, serial from ledger.events where event in ('opened', 'reopened')) o
cross join lateral (
    select item_id, serial, number, event, state, closed, as_of, relapses, evidence from ledger.events e
    where e.serial = o.serial and e.order_id = o.order_id order by e.number desc limit 1
) e;
comment on view ledger.order_items is 'One row per order and item: the last thing that happened to the item in this order';

-- These views look up row by row: fast for a few. Whoever wants all reads them by `resources.ledger_states`.
create or replace view ledger.order_states as
select
    o.order_id, o.order_number, o.department, o.resource, o.rule_id, o.delivery_id, o.standard, o.dimension,
    o.indicator, o.severity, o.opened_on, o.due_on as first_due_on, e.due_on, e.due_provisional,
    e.state, e.event, e.number, e.as_of, e.working_days, e.paused_days, e.level,
    s.items, s.open, s.items - s.open as closed, s.verified, s.relapsed,
    case when s.open = 0 then s.last_event end as closed_on,
    h.cause, h.held_on, h.sent_on,
    case when e.state = 'accepted' then substring(e.evidence from 'until (\d{4}-\d\d-\d\d)')::date end as accepted_until
from ledger.orders o
cross join lateral (
    select * from ledger.order_events e where e.order_id = o.order_id order by e.number desc limit 1
) e
cross join lateral (
    select
        count(*) as items,
        count(*) filter (where not closed) as open,
        count(*) filter (where verified and not again) as verified,
        count(*) filter (where relapses > 0 or again) as relapsed,
        max(as_of) as last_event
    from (
        select *, verified and exists (
                select from ledger.events r
                where r.serial = last_events.serial and r.number > last_events.number and r.event = 'reopened'
            ) as again
        from (
            select serial, number, closed, relapses, as_of,
                   state in ('verified_as_suggested', 'verified_otherwise') as verified
            from ledger.order_items e
            where e.order_id = o.order_id
        ) last_events
    ) items
) s
cross join lateral (
    select max(event) filter (where event = 'systematic') as cause,
           max(as_of) filter (where event = 'held') as held_on,
           max(as_of) filter (where event = 'notified') as sent_on
    from ledger.order_events e where e.order_id = o.order_id
) h;
comment on view ledger.order_states is 'One row per correction order: its last event, its items as they stand in it. A relapse belongs to a new order, and what relapsed is no longer verified in the old one';

create or replace view ledger.last_order_events as
select e.* from ledger.orders o
cross join lateral (select * from ledger.order_events e where e.order_id = o.order_id order by number desc limit 1) e;
comment on view ledger.last_order_events is 'One row per correction order: its last event';

create or replace view ledger.item_states as
select
    i.item_id, i.serial, i.finding_id, i.department, i.resource, i.rule_id, i.record_key, i.column_name, i.opened_on,
    i.transferred_from,
    e.state, e.closed, e.since, e.order_id, o.order_number, o.opened_on as ordered_on, o.severity, d.due_on,
    d.due_provisional, d.state as order_state,
    e.number, e.event, e.as_of, e.delivery_id, e.rule_version, e.record_hash, e.content_hash, e.observed,
    e.suggested, e.reason, e.evidence, e.by_date, e.actor, e.notified_on, e.relapses, e.suggestion_method, e.suggestion_confidence
from ledger.items i
cross join lateral (
    select * from ledger.events e where e.serial = i.serial order by e.number desc limit 1
) e
join ledger.orders o on o.order_id = e.order_id
cross join lateral (
    select * from ledger.order_events d where d.order_id = e.order_id order by d.number desc limit 1
) d;
comment on view ledger.item_states is 'One row per correction item: where it stands now';

create or replace view ledger.excepted_items as
select i.item_id, i.department, i.resource, i.rule_id, l.state
from (select distinct item_id from ledger.events where event in ('upheld', 'transferred')) e
join ledger.items i using (item_id)
cross join lateral (select state from ledger.events l where l.serial = i.serial order by number desc limit 1) l
where l.state in ('upheld', 'transferred');
comment on view ledger.excepted_items is 'One row per item that does not count as an error of its department: an objection was upheld, another answers for it';
