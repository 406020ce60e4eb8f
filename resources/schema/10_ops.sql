-- What has arrived and how far the pipeline is. Run at every preparation of the server, on homes of any age: keep it
-- idempotent, and give a column that is added to a table an `alter table … add column if not exists` too.
create schema if not exists ops;
create schema if not exists ledger;
create schema if not exists curated;

create table if not exists ops.deliveries (
    delivery_id text primary key,
    department text not null,
    resource text not null,
    file_name text not null,
    archive_path text,
    sha256 text not null,
    bytes bigint not null,
    as_of date,
    pass_as_of date,
    mode text,
    rows_declared bigint,
    rows_delivered bigint,
    rows_pooled bigint,
    rows_quarantined bigint,
    state text not null,
    reasons jsonb not null default '[]',
    registered_at timestamptz not null default now()
);
alter table ops.deliveries add column if not exists pass_as_of date;
alter table ops.deliveries add column if not exists source text not null default 'landing';
alter table ops.deliveries add column if not exists rows_removed bigint;
alter table ops.deliveries add column if not exists schema_version integer;
alter table ops.deliveries add column if not exists day_number integer;
alter table ops.deliveries add column if not exists superseded_by text;
alter table ops.deliveries add column if not exists settled_by text;
alter table ops.deliveries add column if not exists settled_at timestamptz;
alter table ops.deliveries drop constraint if exists deliveries_state_check;
alter table ops.deliveries add constraint deliveries_state_check
    check (state in ('registered', 'pooled', 'superseded', 'rejected'));
create index if not exists deliveries_by_resource on ops.deliveries (department, resource, as_of);
comment on table ops.deliveries is 'One row per delivery: a file that arrived once for one resource';
comment on column ops.deliveries.pass_as_of is 'Business day of the pass that takes it in';
comment on column ops.deliveries.source is 'landing, or where a pull took it from';
comment on column ops.deliveries.rows_removed is 'Changes of a stream that took a record out of the pool';
comment on column ops.deliveries.day_number is 'Which of its resource''s deliveries of this as-of date it was, from 1';
comment on column ops.deliveries.superseded_by is 'The full delivery that stands in its place';
comment on column ops.deliveries.settled_at is 'When it was pooled, superseded or rejected at loading; pools are rebuilt in this order';
comment on column ops.deliveries.reasons is 'Why it was rejected, or what was noticed: [{"code": …, "message": …}]';

create table if not exists ops.passes (
    as_of date primary key,
    state text not null check (state in ('started', 'finished')),
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    summary jsonb
);
comment on table ops.passes is 'One row per as-of date the city was taken to';

create table if not exists ops.publications (
    product text not null,
    version bigint not null,
    reads text not null,
    columns text[] not null,
    rows bigint not null,
    as_of date not null,
    published_at timestamptz not null,
    city_version bigint not null,
    author text not null,
    primary key (product, version)
);
comment on table ops.publications is 'One row per version of a product that readers could see: what it was made from';
comment on column ops.publications.reads is 'The table of the lake: base.<library> or thematic.<topic>.<table>';
comment on column ops.publications.city_version is 'Snapshot of the lake''s city catalog that it was made from';

create table if not exists ops.applied (
    target text primary key,
    fingerprint text not null,
    applied_at timestamptz not null default now()
);
comment on table ops.applied is 'One row per lake catalog: hash of the tables it was last brought to';

create table if not exists ops.delivery_actions (
    delivery_id text not null,
    action text not null check (action in ('replay', 'reject')),
    reason text not null default '',
    actor text not null,
    recorded_at timestamptz not null default now()
);
comment on table ops.delivery_actions is 'One row per thing a person did to a delivery';

create table if not exists ops.rebuilds (
    department text not null,
    resource text not null,
    actor text not null,
    recorded_at timestamptz not null default now(),
    primary key (department, resource)
);
comment on table ops.rebuilds is 'One row per pool that must be rebuilt from its deliveries before anything is loaded';

create table if not exists ops.profiles (
    delivery_id text not null,
    position integer not null,
    column_name text not null,
    rows bigint not null,
    nulls bigint not null,
    distinct_values bigint not null,
    converted bigint not null,
    unparsed bigint not null,
    lowest text,
    highest text,
    shortest bigint,
    longest bigint,
    top_lengths jsonb not null,
    primary key (delivery_id, position)
);
comment on table ops.profiles is 'One row per delivery and column: what was pooled, in counts';
create table if not exists ops.pulls (
    pull_id bigint generated always as identity primary key,
    department text not null,
    resource text not null,
    name text not null,
    version text not null,
    watermark text,
    bytes bigint,
    rows bigint,
    sha256 text,
    delivery_file text,
    outcome text not null check (outcome in ('pulled', 'failed')),
    transient boolean,
    message text not null default '',
    pulled_at timestamptz not null default now()
);
create index if not exists pulls_by_resource on ops.pulls (department, resource, pulled_at);
comment on table ops.pulls is 'One row per version of a remote file or pull of a table that came to landing, and per failed pull';
comment on column ops.pulls.name is 'Path of the remote file, or the table; of a failed pull the place';
comment on column ops.pulls.version is 'What the server says changes with the file (etag, or time and size); of a table a digest of the rows at the watermark';
comment on column ops.pulls.watermark is 'How far the table was read; the next pull begins there';
comment on column ops.pulls.delivery_file is 'Name in landing; ops.deliveries knows it as file_name';

create table if not exists ops.identity_decisions (
    decision_id bigint generated always as identity primary key,
    library text not null,
    action text not null check (action in ('same', 'different', 'merge', 'split', 'relink')),
    record text not null default '',
    content text not null default '',
    entity_key text not null default '',
    other_key text not null default '',
    actor text not null check (actor <> ''),
    reason text not null check (reason <> ''),
    recorded_at timestamptz not null default now()
);
comment on table ops.identity_decisions is 'One row per decision of a person about who is who: append-only, stronger than any model';
comment on column ops.identity_decisions.record is '<department>.<resource>|<record key> of same and different';
comment on column ops.identity_decisions.content is 'Digest of what the record said, where it has no key of its own; of relink the model';
comment on column ops.identity_decisions.entity_key is 'The entity it is, or is not; of merge and split the one that stays';
comment on column ops.identity_decisions.other_key is 'What became part of it, or was given back';

create table if not exists ops.sendings (
    key text primary key,
    department text not null,
    as_of date not null,
    kind text not null,
    address text not null,
    file text not null,
    sha256 text not null,
    bytes bigint not null,
    state text not null check (state in ('waiting', 'sending', 'sent', 'failed', 'superseded')),
    attempts integer not null default 0,
    message text not null default '',
    queued_at timestamptz not null default now(),
    settled_at timestamptz
);
create index if not exists sendings_open on ops.sendings (state) where state in ('waiting', 'sending');
comment on table ops.sendings is 'One row per notice file and channel it goes to besides the outbox folder';
comment on column ops.sendings.key is 'The same for the same bytes to the same place: nothing is sent twice';
comment on column ops.sendings.file is 'Below the outbox folder';
comment on column ops.sendings.state is 'sending: under way, or its process died; failed: somebody must change something first';
comment on column ops.sendings.message is 'Why the last attempt failed; our own words, no value of a record';
