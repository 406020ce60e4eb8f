-- Who may do what in this database. Runs last, over everything the files before created.
grant usage on schema ops, ledger, curated to pipeline, reader;
grant create on schema curated to pipeline;
grant usage on schema curated to dashboard_reader;

grant select, insert, update, delete on all tables in schema ops to pipeline;
revoke update, delete on ops.identity_decisions from pipeline;  -- what people decided is never written over
-- The ledger is append-only: no update, delete or truncate for anybody but its owner.
revoke all on all tables in schema ledger from pipeline;
grant select, insert on all tables in schema ledger to pipeline;
grant usage on all sequences in schema ledger to pipeline;

grant select on all tables in schema ops, ledger, curated to reader;
alter default privileges for role pipeline in schema curated grant select on tables to reader;
-- dashboard_reader is granted each curated view when the view is first created (assets.publish).
