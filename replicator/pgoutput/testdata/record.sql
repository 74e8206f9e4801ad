-- What testdata/postgres<major>.hex records: see TestRecordedStreams, which runs
-- this on a server and writes down what the slot sends. Rows of the table noise are
-- not published; they only make a transaction large enough to be streamed, where
-- the server can do that: row filters are there from 15 on, streaming and
-- messages from 14 on.
select current_setting('server_version_num')::int >= 150000 as filters, current_setting('server_version_num')::int >= 140000 as streaming \gset
\o /dev/null
set timezone='UTC';
create domain posint as int check (value > 0);
create type mood as enum ('sad','ok');
create type pair as (x int, y text);
create table pk (id int primary key, a varchar(10), big text, m mood, p posint, n numeric(10,2));
alter table pk alter column big set storage external;
create table "Fu ll" (id int not null, b text, c timestamptz);
alter table "Fu ll" alter column b set storage external;
alter table "Fu ll" replica identity full;
create table ix (x text, a int not null, b int not null, primary key (x));
create unique index ix_ab on ix (b, a);
alter table ix replica identity using index ix_ab;
create table tk (k text primary key, v int);
alter table tk alter column k set storage external;
create table par (id int primary key);
create table chi (id int primary key references par);
create table ins (v int);
create table noise (v int);
create table flt (id int primary key, on_ bool, big text);
alter table flt alter column big set storage external;
create table typ (id int primary key, b bool, s int2, l int8, r real, d float8, n numeric, t text, c char(3), y bytea,
  da date, ti time, tz timetz, ts timestamp, tsz timestamptz, iv interval, u uuid, j json, jb jsonb, ia int[], ta text[][], co pair, ra int4range, ne inet, bi bit(3), mo money);
create publication p for table pk, "Fu ll", ix, tk, par, chi, typ;
create publication pi for table ins with (publish='insert');
create publication pf for table flt;
\if :filters
alter publication pf set table flt where (id > 10);
\endif
select pg_replication_origin_create('elsewhere');
select pg_create_logical_replication_slot('s','pgoutput');
insert into pk values (1,'a',null,'ok',3,1.50),(2,'',repeat('x',2100),'sad',null,0);
update pk set a='b' where id=1;
update pk set a='c' where id=2;
update pk set id=3 where id=2;
delete from pk where id=1;
insert into "Fu ll" values (1,repeat('y',2100),'2000-01-01'),(2,null,'infinity');
update "Fu ll" set c='2026-11-22 01:02:03.000004+00' where id=1;
delete from "Fu ll" where id=2;
insert into ix values ('r',1,2);
update ix set x='s';
update ix set b=3;
delete from ix;
insert into typ values
 (1,true,-32768,9223372036854775807,'NaN','-Infinity','NaN',E'a\t"b\\\n','é','\x00ff','infinity','24:00:00','12:00:00+05:30',
  '0044-03-15 12:00:00 BC','2024-02-29 23:59:59.999999+00','1 year -3 days','00000000-0000-0000-0000-000000000001','{"a" : 1.0}','{"a": 1.0}',
  '[0:1]={1,NULL}','{{a,"b c"},{"NULL",""}}','(1,"a b")','[1,5)','::1','101','1.50'),
 (2,false,0,0,1e-45,5e-324,1e130,'','a','','0001-01-01','00:00:00','00:00:00-15:59','294276-12-31','4714-11-24 00:00:00+00 BC','0',
  'ffffffff-ffff-ffff-ffff-ffffffffffff','null','null','{}','{}',null,'empty','10.0.0.0/8','000','-0.01'),
 (3,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null);
update typ set n = 0.10, jb = '[]' where id < 3;
delete from typ where id = 2;
insert into tk values (repeat('k',2100),1);
update tk set v=2;
update tk set k='short';
delete from tk;
insert into par values (1);
insert into chi values (1);
truncate par cascade;
truncate chi restart identity;
insert into ins values (1),(null);
insert into flt values (11,true,repeat('z',2100)),(1,false,repeat('w',2100));
update flt set id=12 where id=1;
update flt set id=2 where id=11;
select pg_logical_emit_message(true,'walshift','hello'), pg_logical_emit_message(false,'',''::bytea);
begin;
insert into pk values (50,'p',null,null,null,null);
prepare transaction 'g1';
commit prepared 'g1';
select pg_replication_origin_session_setup('elsewhere');
begin;
select pg_replication_origin_xact_setup('0/AABBCC', '2020-02-02');
insert into pk values (60,null,null,null,null,'NaN');
commit;
select pg_replication_origin_session_reset();
alter table pk add column extra int default 7;
insert into pk(id) values (70);
begin;
insert into par values (2);
insert into noise select g from generate_series(1,600) g;
update par set id=3 where id=2;
savepoint x;
alter table pk add column lost int;
insert into pk(id) values(71);
insert into noise select g from generate_series(1,600) g;
insert into par values (99);
rollback to x;
savepoint y;
insert into pk(id) values(72);
update par set id=id+5000 where id<5;
truncate chi;
select pg_logical_emit_message(true,'in','stream');
insert into noise select g from generate_series(1,600) g;
delete from par;
commit;
begin;
insert into par values (7);
insert into noise select g from generate_series(1,1200) g;
insert into par values (8);
rollback;
select pg_replication_origin_session_setup('elsewhere');
begin;
select pg_replication_origin_xact_setup('0/AABBCC', '2020-02-02');
insert into par values (9);
insert into noise select g from generate_series(1,1200) g;
commit;
select pg_replication_origin_session_reset();
\o
\if :streaming
select encode(data,'hex') from pg_logical_slot_get_binary_changes('s',null,null,'proto_version','2','publication_names','p,pi,pf','messages','true','streaming','on');
\else
select encode(data,'hex') from pg_logical_slot_get_binary_changes('s',null,null,'proto_version','1','publication_names','p,pi,pf');
\endif
