-- What is hashed of the ledger's rows (20_ledger.sql, 21_disputes.sql), and how batches are chained (docs/ledger.md).

-- The digests. Every JSON here is in the canonical form of RFC 8785, so that anybody can make it again with a library:
-- keys in alphabetical order, no blanks, whole numbers only (row_to_json writes text as that standard does).

-- What is hashed of each row, in the order of the keys; `personal` is a digest, the values beside it may be erased.
do $$ begin
    if to_regtype('ledger.event_line') is null then
        create type ledger.order_line as (
            delivery_id text, department text, dimension text, due_on date, due_provisional boolean, indicator text,
            opened_on date, order_id text, order_number text, resource text, rule_id text, severity text,
            standard text, "table" text);
        create type ledger.order_event_line as (
            actor text, as_of date, department text, due_on date, due_provisional boolean, event text, evidence text,
            level integer, number integer, order_id text, paused_days integer, reason text, state text, "table" text,
            working_days integer);
        create type ledger.item_line as (
            column_name text, department text, finding_id text, item_id text, opened_on date, personal text,
            resource text, rule_id text, "table" text, transferred_from text);
        create type ledger.item_personal as (record_key text);
        create type ledger.event_line as (
            actor text, as_of date, by_date date, closed boolean, delivery_id text, department text, event text,
            item_id text, notified_on date, number integer, order_id text, personal text, relapses integer,
            rule_version integer, since date, state text, suggestion_confidence text, suggestion_method text,
            "table" text);
        create type ledger.event_personal as (
            content_hash text, evidence text, observed text, reason text, record_hash text, suggested text);
    end if;
end $$;

do $$ begin
    if to_regtype('ledger.request_line') is null then
        create type ledger.request_line as (
            applicant text, attribute text, column_name text, department text, library text, personal text,
            raised_by text, raised_on date, reference_date date, request_id text, request_number text, resource text,
            "table" text);
        create type ledger.request_personal as (
            doubted text, entity_id text, evidence text, proposed text, reason text, record_key text);
        create type ledger.dispute_event_line as (
            actor text, as_of date, attribute text, department text, dispute_id text, dispute_number text, due_on date,
            event text, item_id text, level integer, library text, number integer, opponent text, party text,
            personal text, rule_version integer, state text, "table" text);
        create type ledger.dispute_event_personal as (entity_id text, evidence text, reason text);
    end if;
end $$;

-- The digest of a row's personal values, salted so that nobody finds them by trying; or what erasing them left.
create or replace function ledger.sealed(salt uuid, personal json, left_over bytea) returns text
language sql stable parallel safe as $$
    select encode(case when salt is null then left_over
                       else sha256(uuid_send(salt) || convert_to(personal::text, 'UTF8')) end, 'hex')
$$;

-- The rows of one batch: what is hashed of each (`line`), and apart from it its salt and personal values.
create or replace function ledger.lines(wanted_department text, wanted_batch integer)
returns table (line json, salt uuid, personal json)
language sql stable parallel safe as $$
    select row_to_json(row(
            delivery_id, department, dimension, due_on, due_provisional, indicator, opened_on, order_id, order_number,
            resource, rule_id, severity, standard, 'order')::ledger.order_line), null::uuid, null::json
    from ledger.orders where department = wanted_department and batch = wanted_batch
    union all
    select row_to_json(row(
            actor, as_of, department, due_on, due_provisional, event, evidence, level, number, order_id, paused_days,
            reason, state, 'order_event', working_days)::ledger.order_event_line), null, null
    from ledger.order_events where department = wanted_department and batch = wanted_batch
    union all
    select row_to_json(row(
            i.column_name, i.department, i.finding_id, i.item_id, i.opened_on,
            ledger.sealed(i.salt, i.personal, i.personal_digest), i.resource, i.rule_id, 'item', i.transferred_from
        )::ledger.item_line), i.salt, i.personal
    from (
        select *, row_to_json(row(record_key)::ledger.item_personal) as personal
        from ledger.items where department = wanted_department and batch = wanted_batch
    ) i
    union all
    select row_to_json(row(
            e.actor, e.as_of, e.by_date, e.closed, e.delivery_id, e.department, e.event, e.item_id, e.notified_on,
            e.number, e.order_id, ledger.sealed(e.salt, e.personal, e.personal_digest), e.relapses, e.rule_version,
            e.since, e.state, e.suggestion_confidence, e.suggestion_method, 'event'
        )::ledger.event_line), e.salt, e.personal
    from (
        select *, row_to_json(
            row(content_hash, evidence, observed, reason, record_hash, suggested)::ledger.event_personal) as personal
        from ledger.events where department = wanted_department and batch = wanted_batch
    ) e
    union all
    select row_to_json(row(
            r.applicant, r.attribute, r.column_name, r.department, r.library,
            ledger.sealed(r.salt, r.personal, r.personal_digest), r.raised_by, r.raised_on, r.reference_date,
            r.request_id, r.request_number, r.resource, 'request'
        )::ledger.request_line), r.salt, r.personal
    from (
        select *, row_to_json(
            row(doubted, entity_id, evidence, proposed, reason, record_key)::ledger.request_personal) as personal
        from ledger.requests where department = wanted_department and batch = wanted_batch
    ) r
    union all
    select row_to_json(row(
            d.actor, d.as_of, d.attribute, d.department, d.dispute_id, d.dispute_number, d.due_on, d.event, d.item_id,
            d.level, d.library, d.number, d.opponent, d.party,
            ledger.sealed(d.salt, d.personal, d.personal_digest), d.rule_version, d.state, 'dispute_event'
        )::ledger.dispute_event_line), d.salt, d.personal
    from (
        select *, row_to_json(row(entity_id, evidence, reason)::ledger.dispute_event_personal) as personal
        from ledger.dispute_events where department = wanted_department and batch = wanted_batch
    ) d
$$;

-- Everything one batch holds, as one digest. Any changed, missing or added row changes it.
create or replace function ledger.content(wanted_department text, wanted_batch integer) returns text
language sql stable set extra_float_digits = 1 set work_mem = '256MB' as $$
    select encode(sha256(coalesce(string_agg(digest, ''::bytea order by digest), ''::bytea)), 'hex')
    from (
        select sha256(convert_to(line::text, 'UTF8')) as digest from ledger.lines(wanted_department, wanted_batch)
    ) digests
$$;

-- What a batch says of itself.
create or replace function ledger.statement(
    department text, batch integer, kind text, source text, as_of date, author text, recorded_at timestamptz,
    content text, previous_digest text
) returns json
language sql stable as $$
    select row_to_json(l) from (
        select as_of, author, batch, content, department, kind, previous_digest,
               to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as recorded_at, source
    ) l
$$;

-- The digest of one batch: its own statement, with what it holds and the digest before it.
create or replace function ledger.link(
    department text, batch integer, kind text, source text, as_of date, author text, recorded_at timestamptz,
    content text, previous_digest text
) returns text
language sql stable as $$
    select encode(sha256(convert_to(ledger.statement(
        department, batch, kind, source, as_of, author, recorded_at, content, previous_digest)::text, 'UTF8')), 'hex')
$$;
