#include "verify/source_reader.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <charconv>
#include <map>

#include "verify/scratch_database.h"

namespace tributary {
namespace {

// So that values' texts do not depend on the server's, the database's or the role's settings. row_security off: an error,
// where a policy would hide rows.
constexpr const char* session_settings =
    "SET client_encoding = 'UTF8'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; "
    "SET bytea_output = 'hex'; SET extra_float_digits = 1; SET lc_monetary = 'C'; SET row_security = off; "
    "SET search_path = pg_catalog; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
    "SET idle_session_timeout = 0; SET quote_all_identifiers = off; "
    "SET lock_timeout = '30s'; SET xmlbinary = 'base64'; SET default_transaction_read_only = on";

constexpr const char* system_certificates = "/etc/ssl/certs/ca-certificates.crt";

std::string trimmed(const char* message) {
  std::string text = message == nullptr ? "" : message;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

struct ResultOwner {
  PGresult* result;
  explicit ResultOwner(PGresult* r) : result(r) {}
  ResultOwner(const ResultOwner&) = delete;
  ResultOwner& operator=(const ResultOwner&) = delete;
  ~ResultOwner() { PQclear(result); }
};

bool is_loopback(const std::string& host) {
  return host.empty() || host[0] == '/' || host[0] == '@' || host == "localhost" || host == "::1" ||
         host.starts_with("127.");
}

uint64_t parse_position(std::string_view text) {
  uint64_t high = 0;
  uint64_t low = 0;
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return 0;
  std::from_chars(text.data(), text.data() + slash, high, 16);
  std::from_chars(text.data() + slash + 1, text.data() + text.size(), low, 16);
  return high << 32 | low;
}

constexpr const char* columns_query = R"(
  WITH RECURSIVE base(attnum, oid, modifier) AS (
    SELECT attnum, atttypid, atttypmod FROM pg_attribute
    WHERE attrelid = {0} AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    UNION ALL
    SELECT b.attnum, t.typbasetype, t.typtypmod FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
  SELECT a.attname, b.oid, b.modifier, format_type(a.atttypid, a.atttypmod),
         coalesce((SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
                   FROM pg_opclass k JOIN pg_am m ON m.oid = k.opcmethod AND m.amname = 'btree'
                   JOIN pg_amop e ON e.amopfamily = k.opcfamily AND e.amopstrategy = 3
                                     AND e.amoplefttype = k.opcintype AND e.amoprighttype = k.opcintype
                   JOIN pg_operator o ON o.oid = e.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
                   WHERE k.opcdefault AND k.opcintype = b.oid AND n.nspname <> 'pg_catalog'), '')
  FROM base b JOIN pg_attribute a ON a.attrelid = {0} AND a.attnum = b.attnum JOIN pg_type t ON t.oid = b.oid
  WHERE t.typtype <> 'd' ORDER BY b.attnum)";

constexpr const char* key_query = R"(
  SELECT a.attname
  FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid
       AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END
       CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
  WHERE c.oid = {} AND k.place <= i.indnkeyatts ORDER BY k.place)";

}  // namespace

Result<std::unique_ptr<SourceReader>> SourceReader::connect(const std::string& url, const std::string& password) {
  char* message = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &message);
  if (options == nullptr) {
    PQfreemem(message);  // it may quote the URL
    return Error{ErrorCode::kInvalidInput, "the source's URL is not of the form postgresql://user@host:port/database"};
  }
  std::map<std::string, std::string> given;
  for (PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val != nullptr) given[option->keyword] = option->val;
  }
  PQconninfoFree(options);
  if (!password.empty()) given["password"] = password;
  given.insert({{"connect_timeout", "10"},
                {"application_name", "tributary verify"},
                {"keepalives_idle", "10"},
                {"tcp_user_timeout", "30000"}});
  if (!given.contains("sslmode") && !is_loopback(given["host"])) {
    given["sslmode"] = "verify-full";
    if (!given.contains("sslrootcert") && access(system_certificates, R_OK) == 0)
      given["sslrootcert"] = system_certificates;
  }
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : given) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  std::unique_ptr<SourceReader> reader(new SourceReader(PQconnectdbParams(names.data(), values.data(), 0)));
  if (PQstatus(reader->connection_) != CONNECTION_OK) {
    return Error{ErrorCode::kUnavailable,
                 "could not connect to the source: " + trimmed(PQerrorMessage(reader->connection_))};
  }
  RETURN_IF_ERROR(reader->set_up());
  return reader;
}

Status SourceReader::set_up() {
  ASSIGN_OR_RETURN([[maybe_unused]] auto none, query(session_settings));
  const char* encoding = PQparameterStatus(connection_, "server_encoding");
  std::string name = encoding == nullptr ? "" : encoding;
  if (name == "SQL_ASCII") {  // bytes of any encoding, which the server cannot convert
    ASSIGN_OR_RETURN([[maybe_unused]] auto any, query("SET client_encoding = 'SQL_ASCII'"));
  }
  auto convert = [&](const std::string& hex) -> Result<std::optional<std::string>> {
    auto answer = query(fmt::format("SELECT convert('\\x{}'::bytea, {}, 'UTF8')", hex, literal(name)));
    if (answer.ok()) return std::optional(answer->at(0).at(0));
    // untranslatable_character, character_not_in_repertoire
    if (sqlstate_ == "22P05" || sqlstate_ == "22021") return std::optional<std::string>();
    return answer.error();
  };
  ASSIGN_OR_RETURN(characters_, SourceCharacters::find(name, convert));
  return {};
}

SourceReader::~SourceReader() { PQfinish(connection_); }

Error SourceReader::connection_error(std::string_view what) const {
  bool gone = PQstatus(connection_) != CONNECTION_OK;
  return Error{gone ? ErrorCode::kUnavailable : ErrorCode::kInvalidInput,
               fmt::format("{}: {}", what, trimmed(PQerrorMessage(connection_)))};
}

Result<std::vector<std::vector<std::string>>> SourceReader::query(const std::string& sql) {
  ResultOwner answer(PQexec(connection_, sql.c_str()));
  ExecStatusType status = PQresultStatus(answer.result);
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    const char* state = PQresultErrorField(answer.result, PG_DIAG_SQLSTATE);
    sqlstate_ = state == nullptr ? "" : state;
    return connection_error("the source refused a query");
  }
  std::vector<std::vector<std::string>> rows(static_cast<size_t>(PQntuples(answer.result)));
  for (size_t row = 0; row < rows.size(); ++row) {
    for (int column = 0; column < PQnfields(answer.result); ++column) {
      rows[row].emplace_back(PQgetvalue(answer.result, static_cast<int>(row), column));
    }
  }
  return rows;
}

Result<SourceTable> SourceReader::describe(const std::string& table) {
  std::string name = table.find('.') == std::string::npos ? "public." + table : table;
  size_t dot = name.find('.');
  ASSIGN_OR_RETURN(auto found,
                   query("SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON "
                         "n.oid = c.relnamespace WHERE n.nspname = " +
                         literal(name.substr(0, dot)) + " AND c.relname = " + literal(name.substr(dot + 1)) +
                         " AND c.relkind IN ('r', 'p')"));
  if (found.size() != 1) {
    return Error{ErrorCode::kNotFound, fmt::format("the source has no table {}, or this role does not see it", table)};
  }
  const std::string& oid = found[0][0];
  SourceTable result;
  // A child of plain inheritance is a table of its own, also in the log; partitions are not.
  result.quoted = fmt::format("{}{}.{}", found[0][3] == "p" ? "" : "ONLY ", quote_duckdb_identifier(found[0][1]),
                              quote_duckdb_identifier(found[0][2]));
  ASSIGN_OR_RETURN(auto columns, query(fmt::format(columns_query, oid)));
  for (auto& column : columns) {
    SourceColumn& added = result.columns.emplace_back();
    added.name = std::move(column[0]);
    std::from_chars(column[1].data(), column[1].data() + column[1].size(), added.type_oid);
    std::from_chars(column[2].data(), column[2].data() + column[2].size(), added.type_modifier);
    added.type_name = std::move(column[3]);
    added.equals = std::move(column[4]);
  }
  ASSIGN_OR_RETURN(auto key, query(fmt::format(key_query, oid)));
  for (auto& column : key) result.key.push_back(std::move(column[0]));
  return result;
}

Result<uint64_t> SourceReader::begin_snapshot() {
  ASSIGN_OR_RETURN([[maybe_unused]] auto none, query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"));
  // The first query takes the snapshot, and its functions run after that. A commit is visible after its record was inserted,
  // but perhaps before it was written (synchronous_commit = off): the position of insertion it must be.
  ASSIGN_OR_RETURN(auto mark, query("SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
                                    "ELSE pg_current_wal_insert_lsn() END"));
  return parse_position(mark.at(0).at(0));
}

Status SourceReader::end_snapshot() {
  ASSIGN_OR_RETURN([[maybe_unused]] auto none, query("ROLLBACK"));
  return {};
}

Status SourceReader::begin_part() {
  ASSIGN_OR_RETURN([[maybe_unused]] auto none, query("SAVEPOINT part"));
  return {};
}

Status SourceReader::end_part(bool done) {
  std::string sql = done ? "RELEASE SAVEPOINT part" : "ROLLBACK TO SAVEPOINT part";
  auto ended = query(sql);
  if (!ended.ok() && sqlstate_ == "57014") ended = query(sql);  // a cancelled COPY's cancel came late
  if (!ended.ok()) return ended.error();
  return {};
}

Status SourceReader::copy(const std::string& select, size_t columns, const TabSeparatedReader::Visit& visit) {
  std::string copy = "COPY (" + select + ") TO STDOUT";
  if (characters_.converts()) copy += " (ENCODING 'SQL_ASCII')";  // its bytes as they are
  ResultOwner answer(PQexec(connection_, copy.c_str()));
  if (PQresultStatus(answer.result) != PGRES_COPY_OUT) return connection_error("the source's table cannot be read");
  TabSeparatedReader rows(columns, visit);
  char* line = nullptr;
  int size = 0;
  Status status;
  while ((size = PQgetCopyData(connection_, &line, 0)) > 0) {
    std::string_view text(line, static_cast<size_t>(size));
    status = characters_.converts() ? rows.feed(characters_.to_utf8(text)) : rows.feed(text);
    PQfreemem(line);
    if (!status.ok()) break;
  }
  if (!status.ok()) {  // of ours: give up the connection's copy too
    if (PGcancel* cancel = PQgetCancel(connection_)) {
      char text[256];
      PQcancel(cancel, text, sizeof text);
      PQfreeCancel(cancel);
    }
    while (PQgetCopyData(connection_, &line, 0) > 0) PQfreemem(line);
  }
  bool complete = size == -1;
  while (PGresult* last = PQgetResult(connection_)) {
    if (PQresultStatus(last) != PGRES_COMMAND_OK) complete = false;
    PQclear(last);
  }
  RETURN_IF_ERROR(status);
  if (!complete) return connection_error("reading the source's table broke off");
  return rows.finish();
}

std::string SourceReader::literal(std::string_view text) const {
  char* quoted = PQescapeLiteral(connection_, text.data(), text.size());
  std::string out = quoted == nullptr ? "NULL" : quoted;
  PQfreemem(quoted);
  return out;
}

}  // namespace tributary
