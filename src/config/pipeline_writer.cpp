#include "config/pipeline_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "config/scalars.h"

namespace tributary {
namespace {

// A name of ours made of one of theirs: "Order Items" → "order_items".
std::string name_from(const std::string& text, const std::string& otherwise) {
  std::string name;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    bool fits = (c >= 'a' && c <= 'z') || (!name.empty() && c >= '0' && c <= '9');
    if (fits) {
      name.push_back(c);
    } else if (!name.empty() && name.back() != '_') {
      name.push_back('_');
    }
    if (name.size() == 36) break;  // room for a number
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  return name.empty() ? otherwise : name;
}

std::string unique_name(std::string name, std::set<std::string>& taken) {
  std::string candidate = name;
  for (int i = 2; !taken.insert(candidate).second; ++i) candidate = fmt::format("{}_{}", name, i);
  return candidate;
}

// On one line, for comments: a name may hold anything, also a line break.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7F) c = ' ';
  }
  return text;
}

bool has_control_characters(const std::string& text) { return one_line(text) != text; }

std::string yaml_text(const std::string& text) {
  auto plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; };
  // YAML reads a plain null as no value at all, while every other plain word is the text that it is.
  if (!text.empty() && text != "null" && std::isalpha(static_cast<unsigned char>(text[0])) != 0 &&
      std::all_of(text.begin(), text.end(), plain)) {
    return text;
  }
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

std::string sql_name(const std::string& name) {
  auto plain = [](unsigned char c) { return (c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9'); };
  // Quoted unless it surely needs none: a keyword may have plain letters.
  if (name == "public" || (name.size() > 1 && std::all_of(name.begin(), name.end(), plain) && name.back() == 's' &&
                           !(name[0] >= '0' && name[0] <= '9') && name != "as" && name != "is")) {
    return name;
  }
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return one_line(out + "\"");
}

std::string table_name(const DescribedTable& table) { return sql_name(table.schema) + "." + sql_name(table.name); }

std::string rows_text(int64_t rows) {
  if (rows < 0) return "unknown number of rows";
  if (rows < 10'000) return fmt::format("about {} rows", rows);
  if (rows < 10'000'000) return fmt::format("about {} thousand rows", rows / 1000);
  return fmt::format("about {} million rows", rows / 1'000'000);
}

class Writer {
 public:
  explicit Writer(const DatabaseDescription& database)
      : database_(database), name_(name_from(database.database, "shop")) {
    for (std::string_view reserved : {"system", "default", "information_schema", "tributary"}) {
      if (name_ == reserved) name_ += "_1";
    }
    source_name_ = fmt::format("tributary_{}_{}", name_, name_).substr(0, 63);
    for (const DescribedTable& table : database.tables) {
      (why_not_captured(table).empty() ? captured_ : refused_).push_back(&table);
    }
  }

  std::string write() {
    header();
    client();
    domains();
    refused();
    rest();
    owner_sql();
    load();
    removal();
    return std::move(out_);
  }

 private:
  void line(std::string_view text = "") {
    out_ += text;
    out_ += '\n';
  }
  void comment(const std::string& text) { line(text.empty() ? "#" : "# " + one_line(text)); }

  void header() {
    comment(fmt::format("Written by `tributary init` for the database {}.", database_.database));
    comment("Check it with `tributary check FILE`, start it with `tributary run FILE`.");
    comment("What the database's owner has to run once stands as SQL at the end.");
    line();
    line(fmt::format("pipeline: {}", yaml_text(name_)));
    line();
  }

  void client() {
    line("clients:");
    line(fmt::format("  {}:                 # a client's id: add one block for each client's database",
                     yaml_text(name_)));
    line(fmt::format("    source: {}", yaml_text(database_.url)));
    if (database_.password.empty()) {
      line("    # password: ${env:NAME}      # or ${file:/path/of/a/file}");
    } else {
      line(fmt::format("    password: {}      # or ${{file:/path/of/a/file}}", database_.password));
    }
    line("    # attributes: { plan: gold } # SQL names them: client.plan");
    line("    # limits: { snapshot_rows_per_second: 50000, retained_wal_max: 20GiB }");
    line();
  }

  void domains() {
    line("domains:                      # names in SQL; `event` names the topics: order.created, order.updated, …");
    std::set<std::string> names = {"client"};
    std::set<std::string> events;
    for (const DescribedTable* table : captured_) {
      std::string wanted =
          name_from(table->schema == "public" ? table->name : table->schema + "_" + table->name, "row");
      std::string name = unique_name(wanted, names);
      std::string event = unique_name(singular(wanted), events);
      line(fmt::format("  {}: {{ table: {}, event: {} }}   # {}{}", yaml_text(name),
                       yaml_text(table->schema + "." + table->name), yaml_text(event), rows_text(table->rows_estimated),
                       table->partitioned ? ", partitioned" : ""));
      notes(*table);
      if (!example_) find_example(*table, name);
    }
    if (captured_.empty()) line("  # None of the database's tables can be captured as it is; see below.");
    line();
  }

  // A view that works as it stands: the first columns whose names are plain.
  void find_example(const DescribedTable& table, const std::string& domain) {
    std::string list;
    std::string last;
    for (const std::string& column : table.columns) {
      if (column != name_from(column, "") || column == "client_id") continue;
      last = sql_name(column);
      list += (list.empty() ? "" : ", ") + last;
      if (list.size() > 40) break;
    }
    if (list.empty()) return;
    example_ = {domain, fmt::format("SELECT {} FROM {} WHERE {} IS NOT NULL", list, sql_name(domain), last)};
  }

  void notes(const DescribedTable& table) {
    for (const std::string& column : table.columns) {
      if (column != "client_id" && !column.starts_with("_")) continue;
      line(one_line(fmt::format("    # its column \"{0}\" is called \"{0}_\" in SQL and in the analytics", column)));
    }
    if (!table.readable) {
      line(one_line(fmt::format("    # user {} may not read it yet: GRANT SELECT ON {} TO {};", database_.user,
                                table_name(table), sql_name(database_.user))));
    }
  }

  void refused() {
    if (refused_.empty()) return;
    comment("Not captured:");
    for (const DescribedTable* table : refused_) {
      bool has_rows = table->kind == 'r' || table->kind == 'p';
      std::string rows = has_rows ? fmt::format(" ({})", rows_text(table->rows_estimated)) : "";
      comment(fmt::format("  {}{}: {}", table_name(*table), rows, why_not_captured(*table)));
    }
    line();
  }

  void rest() {
    comment("Without views each domain is its own view. A view is a query over a domain, kept up to date:");
    comment("views:");
    comment(fmt::format("  {}:", example_ ? example_->first + "_in_short" : "customers"));
    comment(fmt::format(
        "    sql: {}",
        example_ ? example_->second : "SELECT id, lower(trim(email)) AS email FROM users WHERE email IS NOT NULL"));
    line();
    line("log: embedded");
    line("process: native");
    line("raw: embedded");
    line("analytics: embedded");
    line("data: ./data                  # everything that the pipeline keeps");
    line();
  }

  void owner_sql() {
    comment("---- For the owner of the database (psql, as a superuser or the tables' owner) ----");
    if (database_.wal_level == "logical") {
      comment("wal_level is logical already.");
    } else {
      comment(
          fmt::format("ALTER SYSTEM SET wal_level = logical;   -- it is {}; takes effect at a restart of the server",
                      database_.wal_level.empty() ? "unknown" : database_.wal_level));
    }
    if (database_.replication_slots_max >= 0 && database_.replication_slots_used >= database_.replication_slots_max) {
      comment(
          fmt::format("ALTER SYSTEM SET max_replication_slots = {};   -- all {} are taken; takes effect at a restart",
                      database_.replication_slots_max + 4, database_.replication_slots_max));
    }
    comment("Of max_wal_senders one is needed, where SHOW max_wal_senders; tells that all of them are taken:");
    comment("ALTER SYSTEM SET max_wal_senders = 20;   -- takes effect at a restart of the server");
    std::string user = sql_name(database_.user.empty() ? "tributary" : database_.user);
    if (!database_.user_may_replicate && !database_.user_is_superuser) {
      comment(fmt::format("CREATE ROLE {0} LOGIN PASSWORD '…';   -- where it does not exist yet", user));
      comment(fmt::format("ALTER ROLE {} REPLICATION;", user));
    }
    comment(fmt::format("GRANT CONNECT ON DATABASE {} TO {};", sql_name(database_.database), user));
    std::set<std::string> schemas;
    std::string tables;
    for (const DescribedTable* table : captured_) {
      schemas.insert(table->schema);
      tables += (tables.empty() ? "" : ", ") + table_name(*table);
    }
    for (const std::string& schema : schemas)
      comment(fmt::format("GRANT USAGE ON SCHEMA {} TO {};", sql_name(schema), user));
    if (!tables.empty()) {
      comment(fmt::format("GRANT SELECT ON {} TO {};", tables, user));
      comment("The publication, unless the user owns the tables (then `tributary run` makes it):");
      comment(fmt::format("CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true);",
                          sql_name(source_name_), tables));
    }
    comment("A bound on the log that the server keeps for a pipeline that is away (0 would be none):");
    comment("ALTER SYSTEM SET max_slot_wal_keep_size = '20GB';   -- takes effect at SELECT pg_reload_conf();");
    line();
  }

  void load() {
    int64_t rows = 0;
    for (const DescribedTable* table : captured_) {
      rows = rows < 0 || table->rows_estimated < 0 ? -1 : rows + table->rows_estimated;
    }
    comment("---- The load it causes ----");
    comment(
        fmt::format("Once: each captured table is read in chunks from its first block to its last, without locks or "
                    "long transactions ({}).",
                    rows_text(rows)));
    comment("Far behind: up to two slots more (tributary_bulk_…) and four connections in all, until it has caught up.");
    comment(
        "Always: one replication slot and two connections, three while tables are read. The server decodes its log");
    comment("for the slot, a few milliseconds of one processor for each megabyte of log, and keeps log that was not");
    comment("confirmed yet.");
    line();
  }

  void removal() {
    comment("---- To remove everything again (after the pipeline was stopped) ----");
    comment(fmt::format("SELECT pg_drop_replication_slot('{}');   -- else the server keeps its log for ever",
                        source_name_));
    comment(fmt::format("DROP PUBLICATION IF EXISTS {};", sql_name(source_name_)));
    if (!database_.user_is_superuser) {
      std::string user = sql_name(database_.user.empty() ? "tributary" : database_.user);
      comment(fmt::format("DROP OWNED BY {0}; DROP ROLE {0};   -- where the role is the pipeline's alone", user));
    }
    comment("and remove the folder named under `data:`.");
  }

  const DatabaseDescription& database_;
  std::string name_;
  std::string source_name_;
  std::vector<const DescribedTable*> captured_;
  std::vector<const DescribedTable*> refused_;
  std::optional<std::pair<std::string, std::string>> example_;  // a domain, and a query over it
  std::string out_;
};

}  // namespace

std::string singular(const std::string& plural) {
  auto ends = [&](std::string_view end) { return plural.size() > end.size() + 1 && plural.ends_with(end); };
  auto cut = [&](size_t count, std::string_view add) {
    return plural.substr(0, plural.size() - count) + std::string(add);
  };
  for (std::string_view same : {"news", "series", "species", "status", "address", "business", "access", "process"}) {
    if (plural == same || plural.ends_with("_" + std::string(same))) return plural;
  }
  if (plural == "people") return "person";
  if (plural == "children") return "child";
  if (ends("ies")) return cut(3, "y");
  for (std::string_view end : {"sses", "shes", "ches", "xes", "zes", "tuses", "buses"}) {
    if (ends(end)) return cut(2, "");
  }
  if (ends("ss") || plural.ends_with("us") || ends("is")) return plural;
  if (ends("s")) return cut(1, "");
  return plural;
}

std::string why_not_captured(const DescribedTable& table) {
  std::string name = table_name(table);
  if (has_control_characters(table.schema + table.name) || table.schema.find('.') != std::string::npos) {
    return "its name has control characters, or its schema's a dot; rename it";
  }
  if (!is_table(table.schema + "." + table.name)) return "its name is too long";
  if (table.kind == 'f') return "it is a foreign table, whose changes are in the log of the database where it lives";
  if (table.kind == 'v' || table.kind == 'm') return "it is a view; the tables that it reads can be captured";
  if (table.unlogged)
    return fmt::format("it is unlogged, so its changes are not in the log; ALTER TABLE {} SET LOGGED;", name);
  if (table.key_deferrable && table.replica_identity != 'n') {
    return fmt::format(
        "its key is deferrable, so that two rows may share it inside a transaction; make it NOT DEFERRABLE, or, with a "
        "unique index of NOT NULL columns, ALTER TABLE {} REPLICA IDENTITY USING INDEX …;",
        name);
  }
  switch (table.replica_identity) {
    case 'n':
      return fmt::format(
          "its replica identity is NOTHING, so updates and deletes have no key; ALTER TABLE {} REPLICA "
          "IDENTITY DEFAULT;",
          name);
    case 'i':
      return table.identity_columns.empty()
                 ? fmt::format("the index of its replica identity is gone; ALTER TABLE {} REPLICA IDENTITY DEFAULT;",
                               name)
                 : "";
    case 'f':
      return table.primary_key.empty()
                 ? fmt::format(
                       "it has no primary key, by which rows are told apart; ALTER TABLE {} ADD PRIMARY KEY (…);", name)
                 : "";
    default:
      return table.primary_key.empty()
                 ? fmt::format(
                       "it has no primary key; ALTER TABLE {0} ADD PRIMARY KEY (…); or, with a unique index of NOT "
                       "NULL columns, ALTER TABLE {0} REPLICA IDENTITY USING INDEX …;",
                       name)
                 : "";
  }
}

std::string pipeline_file_for(const DatabaseDescription& database) { return Writer(database).write(); }

}  // namespace tributary
