#include "capture/postgres/table_catalog.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "codec/postgres/text_values.h"

namespace tributary {
namespace {

constexpr uint32_t varchar_oid = 1043;
constexpr int tableoid_number = -6;  // of pg_attribute's row that is made with a table and never changed

// Types of one family: what was told as one of them is a value of the other, or is told again. 0: alone.
int family_of_type(uint32_t oid) {
  switch (oid) {
    case 21:  // smallint
    case 23:  // integer
    case 20: return 1;  // bigint
    case 700:  // real
    case 701: return 2;  // double precision
    case 25:  // text
    case 1042:  // character
    case varchar_oid: return 3;
    default: return 0;
  }
}

// Follows a domain to the type it is made of, with the modifier that the domain sets.
constexpr std::string_view base_type_sql = R"(
  LATERAL (WITH RECURSIVE step(type, modifier, depth) AS (
             SELECT {0}, {1}, 0
             UNION ALL
             SELECT t.typbasetype, CASE WHEN s.modifier <> -1 THEN s.modifier ELSE t.typtypmod END, s.depth + 1
             FROM step s JOIN pg_type t ON t.oid = s.type WHERE t.typtype = 'd')
           SELECT type, modifier FROM step ORDER BY depth DESC LIMIT 1) base)";

constexpr uint32_t first_user_oid = 16384;  // what has a smaller one came with the server (access/transam.h)

// SnapshotColumn::type_rows of base.type: a word for each value of an enum, and one for all attributes of a composite type.
constexpr std::string_view type_rows_sql = R"(
  WITH RECURSIVE part(type) AS (
    SELECT base.type
    UNION
    SELECT inner_type.oid FROM part JOIN pg_type t ON t.oid = part.type CROSS JOIN LATERAL (
      SELECT t.typelem WHERE t.typelem <> 0
      UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
      UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
      UNION ALL SELECT b.atttypid FROM pg_attribute b
                WHERE t.typtype = 'c' AND b.attrelid = t.typrelid AND b.attnum > 0 AND NOT b.attisdropped)
      inner_type(oid)),
  word(id, version) AS (
    SELECT e.oid::text || '.' || e.xmin, e.xmin FROM pg_enum e JOIN part ON part.type = e.enumtypid
    UNION ALL
    SELECT t.oid || '.' || string_agg(b.attnum || '.' || b.xmin, '.' ORDER BY b.attnum),
           (array_agg(b.xmin ORDER BY age(b.xmin)))[1]
    FROM part JOIN pg_type t ON t.oid = part.type JOIN pg_attribute b ON b.attrelid = t.typrelid
    WHERE t.typtype = 'c' AND b.attnum > 0 GROUP BY t.oid)
  SELECT string_agg(id || CASE WHEN age(version) > age(pg_snapshot_xmin(pg_current_snapshot())::xid) THEN '' ELSE '?' END,
                    ' ' ORDER BY id)
  FROM word)";

// The operator by which a unique index tells rows apart, where the extension's schema must be named to find it.
constexpr std::string_view equality_sql = R"(
  SELECT format('OPERATOR(%I.%s)', s.nspname, o.oprname)
  FROM pg_opclass k JOIN pg_am m ON m.oid = k.opcmethod AND m.amname = 'btree'
  JOIN pg_amop e ON e.amopfamily = k.opcfamily AND e.amopstrategy = 3 AND e.amoplefttype = k.opcintype
                    AND e.amoprighttype = k.opcintype
  JOIN pg_operator o ON o.oid = e.amopopr JOIN pg_namespace s ON s.oid = o.oprnamespace
  WHERE k.opcdefault AND k.opcintype = base.type)";

std::string table_sql(std::string_view condition) {
  return fmt::format(R"(
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident,
       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'),
       coalesce(NOT x.indimmediate, false), a.attnum, a.attname, a.atttypid, a.atttypmod, a.attstorage <> 'p',
       format_type(a.atttypid, a.atttypmod), base.type, base.modifier,
       (SELECT k.n FROM unnest(x.indkey) WITH ORDINALITY k(number, n)
        WHERE k.number = a.attnum AND k.n <= x.indnkeyatts),
       row_security_active(c.oid), a.xmin,
       CASE WHEN base.type >= {0} THEN ({1}) END,
       current_user, c.relispartition, coalesce(x.indnkeyatts, 0), CASE WHEN base.type >= {0} THEN ({2}) END
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT i.* FROM pg_index i
                   WHERE i.indrelid = c.oid AND i.indisvalid
                     AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false
                         ELSE i.indisprimary END LIMIT 1) x ON true
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
LEFT JOIN {3} ON true
WHERE {4} ORDER BY a.attnum)",
                     first_user_oid, type_rows_sql, equality_sql,
                     fmt::format(base_type_sql, "a.atttypid", "a.atttypmod"), condition);
}

std::optional<CatalogTable> table_of(const PgRows& rows) {
  if (rows.rows() == 0) return std::nullopt;
  CatalogTable table;
  table.oid = static_cast<uint32_t>(rows.number(0, 0));
  table.name = {rows.text(0, 1), rows.text(0, 2)};
  table.kind = rows.text(0, 3)[0];
  table.persistence = rows.text(0, 4)[0];
  table.replica_identity = rows.text(0, 5)[0];
  table.readable = rows.is_true(0, 6);
  table.key_deferrable = rows.is_true(0, 7);
  table.rows_hidden = rows.is_true(0, 17);
  table.reader = rows.text(0, 20);
  table.is_partition = rows.is_true(0, 21);
  std::map<uint64_t, std::string> key;
  for (int row = 0; row < rows.rows(); ++row) {
    if (rows.null(row, 8)) continue;  // a table without columns
    CatalogColumn column;
    column.column = {static_cast<int16_t>(rows.number(row, 8)),   rows.text(row, 9),
                     static_cast<uint32_t>(rows.number(row, 10)), std::stoi(rows.text(row, 11)),
                     static_cast<uint32_t>(rows.number(row, 18)), rows.text(row, 19)};
    column.may_be_absent = rows.is_true(row, 12);
    column.type = {static_cast<uint32_t>(rows.number(row, 14)), std::stoi(rows.text(row, 15)), rows.text(row, 13)};
    if (!rows.null(row, 23)) column.equals = rows.text(row, 23);
    if (!rows.null(row, 16)) key[rows.number(row, 16)] = column.column.name;
    table.columns.push_back(std::move(column));
  }
  for (auto& [ordinal, name] : key) table.key.push_back(std::move(name));
  table.key_unpublished = key.size() < rows.number(0, 22);
  return table;
}

ColumnSchema column_of(const std::string& name, const CatalogType& type, bool may_be_absent, bool key) {
  return {name, postgres_logical_type(type.base, type.base_modifier), type.name, key, may_be_absent};
}

// `names` in the order of the first of the known orders that has exactly these names.
std::vector<std::string> in_key_order(std::vector<std::string> names, const CatalogTable* now,
                                      const TableSchema* before) {
  auto same_names = [&](std::vector<std::string> other) {
    auto sorted = names;
    std::sort(sorted.begin(), sorted.end());
    std::sort(other.begin(), other.end());
    return sorted == other;
  };
  if (now != nullptr && same_names(now->key)) return now->key;
  if (before != nullptr) {
    std::vector<std::string> older;
    older.reserve(before->key_columns.size());
    for (uint32_t index : before->key_columns) older.push_back(before->columns[index].name);
    if (same_names(older)) return older;
  }
  return names;
}

void set_key(TableSchema& schema, const std::vector<std::string>& key) {
  schema.key_columns.clear();
  for (const std::string& name : key) {
    if (auto index = schema.find(name)) {
      schema.key_columns.push_back(*index);
      schema.columns[*index].key = true;
    }
  }
}

const CatalogColumn* find_column(const CatalogTable* table, const PgRelationColumn& wanted) {
  if (table == nullptr) return nullptr;
  for (const CatalogColumn& column : table->columns) {
    if (column.column.name == wanted.name && column.column.type == wanted.type &&
        column.column.type_modifier == wanted.type_modifier) {
      return &column;
    }
  }
  return nullptr;
}

std::set<std::string> words_of(std::string_view text) {
  std::set<std::string> words;
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    words.emplace(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// One of the catalog's rows is there no more. A value that was added has a row more, and is no other than before.
bool values_renamed(const std::string& read, const std::string& now) {
  return read != now && !std::ranges::includes(words_of(now), words_of(read));
}

}  // namespace

std::string CatalogTable::refusal() const {
  std::string plain = name.plain();
  if (kind == 'f')
    return fmt::format("{} is a foreign table: its changes are not in this database's log; capture it where it lives",
                       plain);
  if (kind == 'v' || kind == 'm') return fmt::format("{} is a view: name the tables that it reads", plain);
  if (kind != 'r' && kind != 'p') return fmt::format("{} is not a table", plain);
  if (persistence == 'u') return fmt::format("{} is unlogged: run ALTER TABLE {} SET LOGGED;", plain, name.quoted());
  if (persistence == 't') return fmt::format("{} is a temporary table", plain);
  if (!readable)
    return fmt::format("{0} may not be read by {1}: run GRANT USAGE ON SCHEMA {2} TO {1}; GRANT SELECT ON {3} TO {1};",
                       plain, quote_pg_identifier(reader), quote_pg_identifier(name.schema), name.quoted());
  if (rows_hidden) {
    return fmt::format(
        "{} has row-level security that holds for {}, so rows would be missing: run ALTER ROLE {} BYPASSRLS;", plain,
        quote_pg_identifier(reader), quote_pg_identifier(reader));
  }
  if (replica_identity == 'n') {
    return fmt::format("{} has REPLICA IDENTITY NOTHING: run ALTER TABLE {} REPLICA IDENTITY DEFAULT;", plain,
                       name.quoted());
  }
  if (!key.empty() && key_deferrable) {
    return fmt::format(
        "{} has a deferrable primary key: two rows may share it inside a transaction; make it NOT DEFERRABLE, "
        "or make a unique index on NOT NULL columns and run ALTER TABLE {} REPLICA IDENTITY USING INDEX …;",
        plain, name.quoted());
  }
  if (key_unpublished) {
    return fmt::format(
        "{} has a generated column in its key, and the server publishes none: make a unique index on other NOT NULL "
        "columns and run ALTER TABLE {} REPLICA IDENTITY USING INDEX …;",
        plain, name.quoted());
  }
  if (key.empty() && replica_identity == 'i') {
    return fmt::format("the index of the replica identity of {} is gone: run ALTER TABLE {} REPLICA IDENTITY DEFAULT;",
                       plain, name.quoted());
  }
  if (key.empty()) {
    return fmt::format(
        "{} has no primary key: run ALTER TABLE {} ADD PRIMARY KEY (…); or, with a unique index on NOT NULL "
        "columns, ALTER TABLE {} REPLICA IDENTITY USING INDEX …;",
        plain, name.quoted(), name.quoted());
  }
  return {};
}

asio::awaitable<Result<std::optional<CatalogTable>>> find_table(PgConnection& connection, TableName name) {
  Result<PgRows> rows = co_await connection.query(table_sql(
      fmt::format("n.nspname = {} AND c.relname = {}", quote_pg_literal(name.schema), quote_pg_literal(name.name))));
  if (!rows.ok()) co_return rows.error();
  co_return table_of(*rows);
}

asio::awaitable<Result<std::optional<CatalogTable>>> find_table(PgConnection& connection, uint32_t oid) {
  Result<PgRows> rows = co_await connection.query(table_sql(fmt::format("c.oid = {}", oid)));
  if (!rows.ok()) co_return rows.error();
  co_return table_of(*rows);
}

// Of a partition that was made as one, the row of pg_inherits is of the transaction that made it, and its columns are as they were
// made then: ATTACH alters them, also in that transaction. A table that was never rewritten has the file with which it was
// made, whose number is its own; ATTACH alters its row of pg_class, and so does what rewrites it later.
asio::awaitable<Result<std::vector<CatalogRelation>>> find_relations(PgConnection& connection, uint32_t table_oid) {
  // The server's own functions for trees of partitions see what was committed after the query began, and it could not be told what of
  // a partition is not there from what was not there yet.
  Result<PgRows> rows = co_await connection.query(fmt::format(R"(
WITH RECURSIVE tree(oid, attached, came, entered, made_as_one) AS (
  SELECT {0}::oid, 0::bigint, NULL::xid, NULL::xid, true
  UNION ALL
  SELECT i.inhrelid, (tree.attached + i.xmin::text::bigint) % 4294967296,
         CASE WHEN tree.came IS NULL OR age(i.xmin) < age(tree.came) THEN i.xmin ELSE tree.came END, i.xmin,
         tree.made_as_one AND (i.xmin::text, first.xmin::text, first.cmin::text)
           IS NOT DISTINCT FROM (made.xmin::text, made.xmin::text, made.cmin::text)
  FROM tree JOIN pg_class above ON above.oid = tree.oid AND above.relkind = 'p'
  JOIN pg_inherits i ON i.inhparent = tree.oid AND NOT i.inhdetachpending
  JOIN pg_attribute made ON made.attrelid = i.inhrelid AND made.attnum = {1}
  LEFT JOIN pg_attribute first ON first.attrelid = i.inhrelid AND first.attnum = 1)
SELECT c.oid, c.relfilenode, n.nspname, c.relname, coalesce(pg_relation_size(c.oid), 0),
       c.reltuples::bigint, c.relkind, c.relpersistence,
       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AND NOT row_security_active(c.oid),
       tree.attached, c.relfilenode = c.oid AND tree.made_as_one,
       c.relfilenode = c.oid OR tree.entered::text = c.xmin::text, coalesce(tree.came::text::bigint, 0)
FROM tree JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind <> 'p' ORDER BY c.oid)",
                                                              table_oid, tableoid_number));
  if (!rows.ok()) co_return rows.error();
  std::vector<CatalogRelation> relations;
  for (int row = 0; row < rows->rows(); ++row) {
    CatalogRelation relation;
    relation.relation = {static_cast<uint32_t>(rows->number(row, 0)), static_cast<uint32_t>(rows->number(row, 1)),
                         static_cast<uint32_t>(rows->number(row, 9))};
    relation.quoted = TableName{rows->text(row, 2), rows->text(row, 3)}.quoted();
    relation.bytes = rows->number(row, 4);
    relation.rows = std::stod(rows->text(row, 5));
    relation.kind = rows->text(row, 6)[0];
    relation.persistence = rows->text(row, 7)[0];
    relation.readable = rows->is_true(row, 8);
    relation.made_here = rows->is_true(row, 10);
    relation.untouched = rows->is_true(row, 11);
    relation.relation.came = static_cast<uint32_t>(rows->number(row, 12));
    relations.push_back(std::move(relation));
  }
  co_return relations;
}

namespace {

// Identities are not inherited: each partition has its own.
asio::awaitable<Result<std::string>> identity_refusal(PgConnection& connection, const CatalogTable& table) {
  std::string key;
  for (const std::string& name : table.key) key += (key.empty() ? "" : ", ") + quote_pg_literal(name);
  Result<PgRows> rows = co_await connection.query(fmt::format(R"(
SELECT n.nspname, c.relname, c.relreplident
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid IN (SELECT relid FROM pg_partition_tree({}) WHERE isleaf) AND c.relreplident <> 'f'
  AND NOT ARRAY[{}]::text[] <@ ARRAY(
        SELECT a.attname::text FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
        WHERE i.indrelid = c.oid
          AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary END)
ORDER BY c.oid LIMIT 1)",
                                                              table.oid, key));
  if (!rows.ok()) co_return rows.error();
  if (rows->rows() == 0) co_return std::string();
  TableName partition{rows->text(0, 0), rows->text(0, 1)};
  bool nothing = rows->text(0, 2) == "n";
  co_return fmt::format(
      "{} has a partition whose changes do not name its rows by ({}): {} has {}; run ALTER TABLE {} REPLICA IDENTITY "
      "FULL;",
      table.name.plain(), fmt::join(table.key, ", "), partition.plain(),
      nothing ? "REPLICA IDENTITY NOTHING" : "another replica identity", partition.quoted());
}

}  // namespace

asio::awaitable<Result<std::string>> partition_refusal(PgConnection& connection, const CatalogTable& table,
                                                       const std::vector<CatalogRelation>& relations,
                                                       const std::set<std::string>& published) {
  std::string plain = table.name.plain();
  for (const CatalogRelation& relation : relations) {
    if (relation.kind == 'f')
      co_return fmt::format("{} has a foreign table as its partition {}", plain, relation.quoted);
    if (relation.persistence == 'u') {
      co_return fmt::format("{} has an unlogged partition: run ALTER TABLE {} SET LOGGED;", plain, relation.quoted);
    }
  }
  if (table.is_partition) {
    Result<PgRows> rows = co_await connection.query(
        fmt::format("SELECT n.nspname, c.relname FROM pg_partition_ancestors({0}) a JOIN pg_class c ON c.oid = a.relid "
                    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid <> {0}",
                    table.oid));
    if (!rows.ok()) co_return rows.error();
    for (int row = 0; row < rows->rows(); ++row) {
      std::string whole = TableName{rows->text(row, 0), rows->text(row, 1)}.plain();
      if (!published.contains(whole)) continue;
      co_return fmt::format(
          "{0} is a partition of {1}, and its changes are told as that table's: take {0} out of the "
          "pipeline file, or {1}",
          plain, whole);
    }
  }
  if (table.kind != 'p') co_return std::string();
  co_return co_await identity_refusal(connection, table);
}

std::optional<std::vector<CatalogRelation>> in_order(const std::vector<SnapshotRelation>& known,
                                                     std::vector<CatalogRelation> now) {
  auto begin = now.begin();
  for (const SnapshotRelation& relation : known) {
    auto at = std::find_if(begin, now.end(), [&](const CatalogRelation& it) { return it.relation == relation; });
    if (at == now.end()) return std::nullopt;
    std::rotate(begin++, at, at + 1);
  }
  if (!std::all_of(begin, now.end(), [](const CatalogRelation& it) { return it.untouched; })) return std::nullopt;
  return now;
}

asio::awaitable<Result<std::map<TypeKey, CatalogType>>> find_types(PgConnection& connection,
                                                                   std::vector<TypeKey> types) {
  std::map<TypeKey, CatalogType> found;
  if (types.empty()) co_return found;
  std::string values;
  for (const auto& [type, modifier] : types) {
    values += fmt::format("{}({}::oid, {}::int)", values.empty() ? "" : ", ", type, modifier);
  }
  Result<PgRows> rows = co_await connection.query(
      fmt::format("SELECT w.type, w.modifier, format_type(w.type, w.modifier), base.type, base.modifier "
                  "FROM (VALUES {}) w(type, modifier), {}",
                  values, fmt::format(base_type_sql, "w.type", "w.modifier")));
  if (!rows.ok()) co_return rows.error();
  for (int row = 0; row < rows->rows(); ++row) {
    TypeKey key{static_cast<uint32_t>(rows->number(row, 0)), std::stoi(rows->text(row, 1))};
    found[key] = {static_cast<uint32_t>(rows->number(row, 3)), std::stoi(rows->text(row, 4)), rows->text(row, 2)};
  }
  co_return found;
}

TableSchema schema_of(const CatalogTable& table) {
  TableSchema schema;
  schema.table = table.name.plain();
  schema.old_image = table.replica_identity == 'f' ? OldImage::kFull : OldImage::kKey;
  for (const CatalogColumn& column : table.columns) {
    schema.columns.push_back(column_of(column.column.name, column.type, column.may_be_absent, false));
  }
  set_key(schema, table.key);
  return schema;
}

std::vector<TypeKey> unknown_types(const PgRelation& relation, const CatalogTable* now) {
  std::vector<TypeKey> types;
  for (const PgRelationColumn& column : relation.columns) {
    if (find_column(now, column) == nullptr) types.emplace_back(column.type, column.type_modifier);
  }
  return types;
}

TableSchema schema_of(const PgRelation& relation, const CatalogTable* now, const TableSchema* before,
                      const std::map<TypeKey, CatalogType>& types) {
  TableSchema schema;
  schema.table = TableName{relation.schema, relation.name}.plain();
  bool full = relation.replica_identity == 'f';
  schema.old_image = full ? OldImage::kFull : OldImage::kKey;
  std::vector<std::string> key;
  for (const PgRelationColumn& column : relation.columns) {
    if (column.key && !full) key.push_back(column.name);
    if (const CatalogColumn* known = find_column(now, column)) {
      schema.columns.push_back(column_of(column.name, known->type, known->may_be_absent, false));
      continue;
    }
    auto type = types.find({column.type, column.type_modifier});
    CatalogType described = type != types.end()
                                ? type->second
                                : CatalogType{column.type, column.type_modifier, fmt::format("type {}", column.type)};
    ColumnSchema made = column_of(column.name, described, false, false);
    made.may_be_absent = made.type.is_variable() || made.type.id == TypeId::kDecimal;
    schema.columns.push_back(std::move(made));
  }
  // Under FULL the message flags every column: the key is the primary key's, which only the catalog knows.
  if (full && now != nullptr) key = now->key;
  if (full && key.empty() && before != nullptr) {
    for (uint32_t index : before->key_columns) key.push_back(before->columns[index].name);
  }
  set_key(schema, in_key_order(std::move(key), now, before));
  return schema;
}

bool names_differ(const PgRelation& relation, const CatalogTable& now) {
  // Both are in the order of the columns' numbers, which a new name does not change.
  std::vector<std::string_view> told;
  std::vector<std::string_view> have;
  told.reserve(relation.columns.size());
  have.reserve(now.columns.size());
  for (const PgRelationColumn& column : relation.columns) told.push_back(column.name);
  for (const CatalogColumn& column : now.columns) have.push_back(column.column.name);
  auto without = [](const std::vector<std::string_view>& names, const std::vector<std::string_view>& others) {
    std::vector<std::string_view> rest;
    std::copy_if(names.begin(), names.end(), std::back_inserter(rest),
                 [&](std::string_view name) { return std::find(others.begin(), others.end(), name) == others.end(); });
    return rest;
  };
  std::vector<std::string_view> only_told = without(told, have);
  std::vector<std::string_view> only_have = without(have, told);
  return (!only_told.empty() && !only_have.empty()) || without(told, only_told) != without(have, only_have);
}

bool types_differ(const PgRelation& relation, const CatalogTable& now) {
  auto alike = [](uint32_t told, uint32_t have) {
    return told == have || (family_of_type(told) != 0 && family_of_type(told) == family_of_type(have));
  };
  return std::any_of(relation.columns.begin(), relation.columns.end(), [&](const PgRelationColumn& told) {
    return std::any_of(now.columns.begin(), now.columns.end(), [&](const CatalogColumn& have) {
      return have.column.name == told.name && !alike(told.type, have.column.type);
    });
  });
}

bool keys_differ(const TableSchema& told, const SnapshotState& snapshot) {
  std::set<std::string> key;
  for (uint32_t index : told.key_columns) key.insert(told.columns[index].name);
  return key != std::set<std::string>(snapshot.key.begin(), snapshot.key.end());
}

bool is_of(const SnapshotState& snapshot, uint32_t oid) {
  return snapshot.table_oid == oid ||
         std::any_of(snapshot.relations.begin(), snapshot.relations.end(),
                     [&](const SnapshotRelation& relation) { return relation.oid == oid; });
}

std::string reread_reason(const SnapshotState& snapshot, const CatalogTable& now) {
  if (snapshot.table_oid != now.oid) return "it is another table under the same name";
  if (snapshot.key != now.key) return "its row key changed";
  for (const CatalogColumn& column : now.columns) {
    auto same = [&](const SnapshotColumn& read) {
      bool same_type = read.type == column.column.type &&
                       (read.type == varchar_oid || read.type_modifier == column.column.type_modifier);
      return read.number == column.column.number && read.name == column.column.name && same_type;
    };
    auto renamed = [&](const SnapshotColumn& read) {
      return read.name == column.column.name && values_renamed(read.type_rows, column.column.type_rows);
    };
    if (std::none_of(snapshot.columns.begin(), snapshot.columns.end(), same)) {
      return fmt::format("its column {} appeared or changed", column.column.name);
    }
    if (std::any_of(snapshot.columns.begin(), snapshot.columns.end(), renamed)) {
      return fmt::format("a value of the type of its column {} was renamed, or the type has other attributes",
                         column.column.name);
    }
  }
  // Rows that nobody writes again would keep their values where another client's table still has the column.
  for (const SnapshotColumn& read : snapshot.columns) {
    bool gone = std::none_of(now.columns.begin(), now.columns.end(),
                             [&](const CatalogColumn& column) { return column.column.name == read.name; });
    if (gone) return fmt::format("its column {} is gone", read.name);
  }
  return {};
}

bool learn_values(SnapshotState& snapshot, const CatalogTable& now) {
  bool learnt = false;
  for (SnapshotColumn& read : snapshot.columns) {
    for (const CatalogColumn& column : now.columns) {
      if (column.column.name != read.name || column.column.type_rows == read.type_rows) continue;
      std::set<std::string> known = words_of(read.type_rows);
      for (const std::string& word : words_of(column.column.type_rows)) {
        if (word.ends_with('?') || !known.insert(word).second) continue;
        learnt = true;
      }
      read.type_rows = fmt::to_string(fmt::join(known, " "));
    }
  }
  return learnt;
}

std::string rewrite_reason(const SnapshotState& snapshot, const CatalogTable& now,
                           const std::vector<CatalogRelation>& relations) {
  if (in_order(snapshot.relations, relations)) return {};
  for (const CatalogColumn& column : now.columns) {
    auto altered = [&](const SnapshotColumn& read) {
      return read.name == column.column.name && read.version != 0 && read.version != column.column.version;
    };
    if (std::any_of(snapshot.columns.begin(), snapshot.columns.end(), altered)) {
      return fmt::format("its column {} was altered, and the table rewritten", column.column.name);
    }
  }
  return {};
}

}  // namespace tributary
