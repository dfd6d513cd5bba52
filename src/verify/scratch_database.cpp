#include "verify/scratch_database.h"

#include <fmt/format.h>

#include <charconv>

#include "verify/exact_functions.h"

namespace tributary {
namespace {

class QueryResult {
 public:
  QueryResult() = default;
  QueryResult(const QueryResult&) = delete;
  QueryResult& operator=(const QueryResult&) = delete;
  ~QueryResult() { duckdb_destroy_result(&result); }
  duckdb_result result{};
};

// DuckDB's message without the excerpt of our query that it appends.
std::string short_message(const char* message) {
  std::string_view text = message == nullptr ? "no reason given" : message;
  return std::string(text.substr(0, text.find("\n\nLINE ")));
}

Error engine_error(duckdb_result& result) {
  bool memory = duckdb_result_error_type(&result) == DUCKDB_ERROR_OUT_OF_MEMORY;
  return Error{memory ? ErrorCode::kResourceExhausted : ErrorCode::kInvalidInput,
               short_message(duckdb_result_error(&result))};
}

std::string_view text_of(const duckdb_string_t& string) {
  uint32_t length = string.value.inlined.length;
  return {length <= sizeof(string.value.inlined.data) ? string.value.inlined.data : string.value.pointer.data, length};
}

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_valid_utf8(std::string_view text) {
  const auto* next = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* end = next + text.size();
  while (next < end) {
    unsigned char lead = *next++;
    if (lead < 0x80) continue;
    int following = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || end - next < following) return false;
    if ((lead == 0xE0 && *next < 0xA0) || (lead == 0xED && *next > 0x9F) || (lead == 0xF0 && *next < 0x90) ||
        (lead == 0xF4 && *next > 0x8F)) {
      return false;
    }
    for (; following > 0; --following) {
      if ((*next++ & 0xC0) != 0x80) return false;
    }
  }
  return true;
}

std::string as_hex(std::string_view bytes) {
  std::string out = "<bytes ";
  for (unsigned char byte : bytes) out += fmt::format("{:02X}", byte);
  return out + ">";
}

}  // namespace

Result<std::unique_ptr<ScratchDatabase>> ScratchDatabase::open(const std::string& spill_directory,
                                                               size_t memory_bytes_max) {
  std::unique_ptr<ScratchDatabase> scratch(new ScratchDatabase);
  duckdb_config config = nullptr;
  duckdb_create_config(&config);
  const std::pair<const char*, std::string> settings[] = {
      {"threads", "1"},
      {"memory_limit", fmt::format("{}B", memory_bytes_max)},
      {"temp_directory", spill_directory},
      {"preserve_insertion_order", "false"},
      {"autoinstall_known_extensions", "false"},
      {"autoload_known_extensions", "false"},
  };
  for (const auto& [name, value] : settings) {
    if (duckdb_set_config(config, name, value.c_str()) == DuckDBSuccess) continue;
    duckdb_destroy_config(&config);
    return Error{ErrorCode::kInternal, fmt::format("DuckDB does not know its setting {}", name)};
  }
  char* message = nullptr;
  duckdb_state state = duckdb_open_ext(nullptr, &scratch->database_, config, &message);
  duckdb_destroy_config(&config);
  if (state != DuckDBSuccess) {
    Error error{ErrorCode::kInternal, "could not open DuckDB: " + short_message(message)};
    duckdb_free(message);
    return error;
  }
  if (duckdb_connect(scratch->database_, &scratch->connection_) != DuckDBSuccess) {
    return Error{ErrorCode::kInternal, "could not connect to DuckDB"};
  }
  RETURN_IF_ERROR(add_exact_functions(scratch->connection_));
  // Serialized statements run on a connection of their own, which sees global settings only.
  for (const char* setting : {"SET GLOBAL TimeZone = 'UTC'", "SET GLOBAL enable_external_access = false",
                              "SET GLOBAL lock_configuration = true"}) {
    RETURN_IF_ERROR(scratch->run(setting));
  }
  return scratch;
}

ScratchDatabase::~ScratchDatabase() {
  if (connection_ != nullptr) duckdb_disconnect(&connection_);
  if (database_ != nullptr) duckdb_close(&database_);
}

Status ScratchDatabase::run(const std::string& sql) {
  auto once = [&](const char* statement) -> Status {
    QueryResult query;
    if (duckdb_query(connection_, statement, &query.result) != DuckDBSuccess) return engine_error(query.result);
    return {};
  };
  Status done = once(sql.c_str());
  if (done.ok() || done.error().message.find("INTERNAL Error") == std::string::npos) return done;
  RETURN_IF_ERROR(once("PRAGMA disable_optimizer"));
  done = once(sql.c_str());
  RETURN_IF_ERROR(once("PRAGMA enable_optimizer"));
  return done;
}

Result<std::vector<ScratchRow>> ScratchDatabase::rows(const std::string& sql, size_t rows_max) {
  QueryResult query;
  if (duckdb_query(connection_, sql.c_str(), &query.result) != DuckDBSuccess) return engine_error(query.result);
  size_t columns = duckdb_column_count(&query.result);
  for (size_t column = 0; column < columns; ++column) {
    CHECK(duckdb_column_type(&query.result, column) == DUCKDB_TYPE_VARCHAR, "column {} of: {}", column, sql);
  }
  std::vector<ScratchRow> rows;
  while (duckdb_data_chunk chunk = duckdb_fetch_chunk(query.result)) {
    size_t size = duckdb_data_chunk_get_size(chunk);
    size_t first = rows.size();
    rows.resize(first + size, ScratchRow(columns));
    for (size_t column = 0; column < columns; ++column) {
      duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, column);
      const uint64_t* validity = duckdb_vector_get_validity(vector);
      const auto* strings = static_cast<const duckdb_string_t*>(duckdb_vector_get_data(vector));
      for (size_t row = 0; row < size; ++row) {
        if (validity != nullptr && (validity[row / 64] >> (row % 64) & 1) == 0) continue;
        rows[first + row][column] = text_of(strings[row]);
      }
    }
    duckdb_destroy_data_chunk(&chunk);
    if (rows.size() > rows_max) {
      return Error{ErrorCode::kResourceExhausted, fmt::format("an answer has more than {} rows", rows_max)};
    }
  }
  return rows;
}

Result<uint64_t> ScratchDatabase::number(const std::string& sql) {
  ASSIGN_OR_RETURN(std::vector<ScratchRow> answer, rows("SELECT CAST(n AS VARCHAR) FROM (" + sql + ") AS q(n)"));
  CHECK(answer.size() == 1 && answer[0].size() == 1, "{}", sql);
  uint64_t value = 0;
  std::string text = answer[0][0].value_or("0");
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Result<std::string> ScratchDatabase::text(const std::string& sql, std::string_view parameter) {
  duckdb_prepared_statement statement = nullptr;
  QueryResult query;
  std::optional<Error> error;
  if (duckdb_prepare(connection_, sql.c_str(), &statement) != DuckDBSuccess) {
    error = Error{ErrorCode::kInternal, short_message(duckdb_prepare_error(statement))};
  } else {
    duckdb_bind_varchar_length(statement, 1, parameter.data(), parameter.size());
    if (duckdb_execute_prepared(statement, &query.result) != DuckDBSuccess) error = engine_error(query.result);
  }
  duckdb_destroy_prepare(&statement);
  if (error) return *error;
  duckdb_data_chunk chunk = duckdb_fetch_chunk(query.result);
  if (chunk == nullptr) return Error{ErrorCode::kInternal, "no answer to: " + sql};
  duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, 0);
  std::string answer(text_of(static_cast<const duckdb_string_t*>(duckdb_vector_get_data(vector))[0]));
  duckdb_destroy_data_chunk(&chunk);
  return answer;
}

TextLoader::TextLoader(ScratchDatabase& database, std::string table, size_t columns)
    : database_(database), table_(std::move(table)), columns_(columns) {}

TextLoader::~TextLoader() {
  if (chunk_ != nullptr) duckdb_destroy_data_chunk(&chunk_);
  if (appender_ != nullptr) duckdb_appender_destroy(&appender_);
}

Status TextLoader::open() {
  if (duckdb_appender_create(database_.connection(), nullptr, table_.c_str(), &appender_) != DuckDBSuccess) {
    return Error{ErrorCode::kInternal, short_message(duckdb_appender_error(appender_))};
  }
  duckdb_logical_type type = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
  std::vector<duckdb_logical_type> types(columns_, type);
  chunk_ = duckdb_create_data_chunk(types.data(), columns_);
  duckdb_destroy_logical_type(&type);
  for (size_t column = 0; column < columns_; ++column) {
    vectors_.push_back(duckdb_data_chunk_get_vector(chunk_, column));
  }
  return {};
}

Status TextLoader::add(std::span<const std::optional<std::string_view>> cells) {
  CHECK(cells.size() == columns_);
  if (appender_ == nullptr) RETURN_IF_ERROR(open());
  for (size_t column = 0; column < columns_; ++column) {
    duckdb_vector vector = vectors_[column];
    const auto& cell = cells[column];
    if (!cell) {
      duckdb_vector_ensure_validity_writable(vector);
      duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector), chunk_rows_);
    } else if (is_valid_utf8(*cell)) {
      duckdb_unsafe_vector_assign_string_element_len(vector, chunk_rows_, cell->data(), cell->size());
    } else {
      std::string hex = as_hex(*cell);
      duckdb_unsafe_vector_assign_string_element_len(vector, chunk_rows_, hex.data(), hex.size());
    }
  }
  if (++chunk_rows_ == duckdb_vector_size()) return append_chunk();
  return {};
}

Status TextLoader::append_chunk() {
  if (chunk_rows_ == 0) return {};
  duckdb_data_chunk_set_size(chunk_, chunk_rows_);
  if (duckdb_append_data_chunk(appender_, chunk_) != DuckDBSuccess) {
    return Error{ErrorCode::kResourceExhausted, short_message(duckdb_appender_error(appender_))};
  }
  duckdb_data_chunk_reset(chunk_);
  vectors_.clear();
  for (size_t column = 0; column < columns_; ++column) {
    vectors_.push_back(duckdb_data_chunk_get_vector(chunk_, column));
  }
  chunk_rows_ = 0;
  return {};
}

Status TextLoader::flush() {
  if (appender_ == nullptr) return {};
  RETURN_IF_ERROR(append_chunk());
  if (duckdb_appender_flush(appender_) != DuckDBSuccess) {
    return Error{ErrorCode::kResourceExhausted, short_message(duckdb_appender_error(appender_))};
  }
  return {};
}

std::string quote_duckdb_identifier(std::string_view name) {
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + "\"";
}

std::string quote_duckdb_text(std::string_view text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'') out.push_back('\'');
    out.push_back(c);
  }
  return out + "'";
}

}  // namespace tributary
