-- What record.py's messages were recorded from. Two extensions of Debian's PostgreSQL, no others.
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE EXTENSION ltree;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
CREATE DOMAIN price AS numeric(10, 2) CHECK (VALUE >= 0);
CREATE TYPE pair AS (a int, b text);

CREATE TABLE every_type (
  id int PRIMARY KEY,
  c_boolean boolean, c_smallint smallint, c_integer integer, c_bigint bigint,
  c_real real, c_double double precision,
  c_numeric numeric, c_numeric_12_4 numeric(12, 4), c_numeric_negative numeric(5, -2), c_numeric_38 numeric(38, 0), c_money money, c_price price,
  c_text text, c_varchar varchar(40), c_char char(8), c_citext citext, c_name name, c_xml xml, c_ltree ltree,
  c_bytea bytea, c_bit1 bit, c_bit8 bit(8), c_varbit varbit(20),
  c_date date, c_time time, c_time_3 time(3), c_timetz timetz,
  c_timestamp timestamp, c_timestamp_3 timestamp(3), c_timestamp_0 timestamp(0), c_timestamptz timestamptz, c_interval interval,
  c_uuid uuid, c_json json, c_jsonb jsonb, c_hstore hstore, c_mood mood,
  c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8,
  c_int4range int4range, c_int8range int8range, c_numrange numrange, c_tsrange tsrange, c_tstzrange tstzrange, c_daterange daterange, c_int4multirange int4multirange,
  c_point point, c_box box, c_polygon polygon, c_tsvector tsvector, c_pair pair, c_oid oid, c_pg_lsn pg_lsn,
  c_integers integer[], c_texts text[], c_numerics numeric(12, 4)[], c_timestamptzs timestamptz[], c_dates date[], c_matrix integer[][], c_jsonbs jsonb[], c_uuids uuid[], c_byteas bytea[], c_moods mood[]
);
ALTER TABLE every_type REPLICA IDENTITY FULL;

-- Row 0 is ordinary, row 1 all NULL, row 2 the lower edge, row 3 the upper, row 4 what has no place on a number line.
CREATE FUNCTION fill(first int) RETURNS void LANGUAGE sql AS $$
INSERT INTO every_type VALUES
(first, true, 7, 42, 4200000000, 1.5, 2.25,
 12345.6789, 12.34, 1200, 12345678901234567890123456789012345678, '1234.56', 9.99,
 'text é 漢 "quoted" \ and /', 'varchar', 'char', 'CiText', 'name', '<a>1</a>', 'top.sub.leaf',
 '\x00ff10fe', B'1', B'10100101', B'1011',
 '2026-01-02', '03:04:05.678901', '03:04:05.678', '03:04:05.678901+02',
 '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678', '2026-01-02 03:04:05', '2026-01-02 03:04:05.678901+02', '1 year 2 months 3 days 04:05:06.789',
 '01234567-89ab-cdef-0123-456789abcdef', '{"a": 1,  "b": [true, null, "x"], "a": 2}', '{"a": 12345678901234567890.5, "b": [true, null, "x"]}', 'a=>1, b=>NULL, "c d"=>"e\"f"', 'glad',
 '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
 '[1,5)', '[1,5]', '(1.5,2.5]', '[2026-01-01,2026-01-02)', '[2026-01-01 00:00:00+00,)', '[2026-01-01,2026-01-03)', '{[1,3),[5,9)}',
 '(1.5,-2)', '(1,1),(0,0)', '((0,0),(1,0),(1,1))', 'a fat cat', '(1,"x, y")', 4294967295, '16/B374D848',
 '{1,2,NULL}', '{a,NULL,"b,c"}', '{1.5,NULL}', '{"2026-01-02 03:04:05.678901+00",NULL}', '{2026-01-02}', '{{1,2},{3,4}}', ARRAY['{"a": 1}', NULL]::jsonb[], '{01234567-89ab-cdef-0123-456789abcdef}', ARRAY['\x00ff', NULL]::bytea[], '{sad,glad}');
INSERT INTO every_type (id) VALUES (first + 1);
INSERT INTO every_type (id, c_boolean, c_smallint, c_integer, c_bigint, c_real, c_double, c_numeric, c_numeric_12_4, c_numeric_negative, c_numeric_38, c_money,
  c_text, c_varchar, c_char, c_bytea, c_bit1, c_bit8, c_varbit, c_date, c_time, c_time_3, c_timetz, c_timestamp, c_timestamp_3, c_timestamp_0, c_timestamptz, c_interval,
  c_json, c_jsonb, c_hstore, c_int4range, c_integers, c_texts) VALUES
(first + 2, false, -32768, -2147483648, -9223372036854775808, -3.4028235e38, -1.7976931348623157e308, -0.00000000000000000001, -99999999.9999, -99900, -1, '-92233720368547758.08',
 '', '', '', '', B'0', B'00000000', B'', '0001-01-01', '00:00:00', '00:00:00', '00:00:00+15:59', '0001-01-01 00:00:00', '1883-11-18 12:03:58.001', '1969-12-31 23:59:59', '0001-01-01 00:00:00+00', '-178000000 years',
 'null', 'null', '', 'empty', '{}', '{}'),
(first + 3, true, 32767, 2147483647, 9223372036854775807, 1e-45, 5e-324, 9e80, 99999999.9999, 99900, 99999999999999999999999999999999999999, '92233720368547758.07',
 repeat('x', 300), repeat('v', 40), 'eight888', decode(repeat('ab', 100), 'hex'), B'1', B'11111111', B'11111111111111111111', '9999-12-31', '24:00:00', '23:59:59.999', '24:00:00-15:59', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59', '9999-12-31 23:59:59.999999+00', '178000000 years 23:59:59.999999',
 '18446744073709551616', '1e400', 'k=>NULL', '[2147483646,2147483647)', '[2:4]={7,8,9}', '{"NULL",NULL,""}');
$$;

-- Debezium stops or guesses at some of these, so they are written alone: NaN, infinities, and times before Christ.
CREATE TABLE beyond (id int PRIMARY KEY, c_real real, c_double double precision, c_numeric numeric, c_numeric_12_4 numeric(12, 4), c_date date, c_timestamp timestamp, c_timestamptz timestamptz);
CREATE FUNCTION fill_beyond(first int) RETURNS void LANGUAGE sql AS $$
INSERT INTO beyond VALUES
(first, 'NaN', 'NaN', 'NaN', 'NaN', 'infinity', 'infinity', 'infinity'),
(first + 1, 'Infinity', '-Infinity', NULL, NULL, '-infinity', '-infinity', '-infinity'),
(first + 2, '-0', '-0', 0, 0, '4713-01-01 BC', '4713-01-01 00:00:00 BC', '4713-01-02 00:00:00+00 BC'),
(first + 3, 0, 0, 0, 0, '5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00');
$$;
-- A numeric beyond the number line, apart since it stops some modes.
CREATE TABLE endless (id int PRIMARY KEY, c_numeric numeric);

CREATE TABLE items (id int, part text, name text, amount numeric(12, 2), body text, PRIMARY KEY (id, part));
CREATE TABLE full_items (LIKE items INCLUDING ALL);
ALTER TABLE full_items REPLICA IDENTITY FULL;
CREATE TABLE keyless (id int, name text);
ALTER TABLE keyless REPLICA IDENTITY FULL;
CREATE TABLE parent (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parent_north PARTITION OF parent FOR VALUES IN ('north');
CREATE TABLE parent_south PARTITION OF parent FOR VALUES IN ('south');

-- Written last, to know that all before it has come.
CREATE TABLE ending (id int PRIMARY KEY);
