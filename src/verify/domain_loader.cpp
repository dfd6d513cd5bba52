#include "verify/domain_loader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "verify/value_types.h"
#include "verify/view_sql.h"

namespace tributary {
namespace {

// Rows and bytes gathered as text before they are turned into typed rows.
constexpr uint64_t staging_rows_max = 65'536;
constexpr size_t staging_bytes_max = size_t{32} << 20;
constexpr size_t keys_per_query = 500;
constexpr std::chrono::seconds progress_interval{1};

// Names that belong to the pipeline end with an underscore in a domain.
std::string domain_name_of(const std::string& column) {
  return column == "client_id" || column.starts_with("_") ? column + "_" : column;
}

// One of the pipeline's names has as many underscores behind it as tell it apart from the table's others.
const SourceColumn* find_column(const SourceTable& table, const std::string& name) {
  const SourceColumn* renamed = nullptr;
  for (const SourceColumn& column : table.columns) {
    if (column.name == name) return &column;
    std::string as_domain = domain_name_of(column.name);
    bool ours = as_domain != column.name && name.starts_with(as_domain) &&
                name.find_first_not_of('_', as_domain.size()) == std::string::npos;
    if (ours && (renamed == nullptr || column.name.size() > renamed->name.size())) renamed = &column;
  }
  return renamed;
}

std::string key_condition(const SourceReader& reader, const DomainTable& domain, std::span<const VerifyKey> keys) {
  std::vector<std::string> any;
  for (const VerifyKey& key : keys) {
    std::vector<std::string> parts;
    for (size_t i = 0; i < key.size(); ++i) {
      const SourceColumn& column = *domain.columns[domain.key[i]].source;
      parts.push_back(fmt::format("{} {} {}::{}", quote_duckdb_identifier(column.name),
                                  column.equals.empty() ? "=" : column.equals, reader.literal(key[i]),
                                  column.type_name));
    }
    any.push_back(fmt::format("({})", fmt::join(parts, " AND ")));
  }
  return fmt::format(" WHERE {}", fmt::join(any, " OR "));
}

class Loader {
 public:
  Loader(ScratchDatabase& database, DomainTable& domain, const DomainLoadOptions& options)
      : database_(database), domain_(domain), options_(options), started_(std::chrono::steady_clock::now()) {
    for (size_t i = 0; i < domain_.columns.size(); ++i) {
      if (domain_.columns[i].source) read_.push_back(i);
    }
    if (options.rows_per_second > 0) piece_rows_ = std::min(piece_rows_, options.rows_per_second);
  }

  Status create();
  Status read(SourceReader& reader);

 private:
  Status add(TabSeparatedReader::Row cells);
  Status convert();
  Status pause();
  Status tell();
  std::string conversion() const;

  ScratchDatabase& database_;
  DomainTable& domain_;
  const DomainLoadOptions& options_;
  std::chrono::steady_clock::time_point started_;
  std::vector<size_t> read_;  // the columns that the source has
  std::optional<TextLoader> staging_;
  uint64_t staged_rows_ = 0;
  uint64_t piece_rows_ = staging_rows_max;  // at most what the rate allows in a second
  size_t staged_bytes_ = 0;
};

Status Loader::create() {
  std::string name = quote_duckdb_identifier(domain_.name);
  std::vector<std::string> typed;
  std::vector<std::string> names;
  for (const DomainColumn& column : domain_.columns) {
    names.push_back(quote_duckdb_identifier(column.column.name));
    typed.push_back(names.back() + " " + domain_type(column.column.type));
  }
  RETURN_IF_ERROR(database_.run("CREATE SCHEMA IF NOT EXISTS source"));
  RETURN_IF_ERROR(database_.run(fmt::format("CREATE OR REPLACE TABLE source.{} ({} BIGINT, {} VARCHAR, {})", name,
                                            row_column, texts_column, fmt::join(typed, ", "))));
  domain_.rows = 0;
  return database_.run(
      fmt::format("CREATE OR REPLACE VIEW main.{0} AS SELECT {1} FROM source.{0}", name, fmt::join(names, ", ")));
}

Status Loader::read(SourceReader& reader) {
  std::vector<std::string> expressions;
  for (size_t index : read_) expressions.push_back(copy_expression(*domain_.columns[index].source));
  std::string select = fmt::format("SELECT {} FROM {}", fmt::join(expressions, ", "), domain_.table.quoted);
  auto visit = [this](TabSeparatedReader::Row cells) { return add(cells); };
  if (options_.keys == nullptr) {
    RETURN_IF_ERROR(reader.copy(select, read_.size(), visit));
  } else {
    std::span<const VerifyKey> keys = *options_.keys;
    while (!keys.empty()) {
      size_t count = std::min(keys.size(), keys_per_query);
      RETURN_IF_ERROR(reader.copy(select + key_condition(reader, domain_, keys.first(count)), read_.size(), visit));
      keys = keys.subspan(count);
    }
  }
  return convert();
}

Status Loader::add(TabSeparatedReader::Row cells) {
  if (!staging_) {
    std::vector<std::string> columns;
    for (size_t i = 0; i < read_.size(); ++i) columns.push_back(fmt::format("s{} VARCHAR", i));
    RETURN_IF_ERROR(
        database_.run(fmt::format("CREATE OR REPLACE TABLE main.__staging ({})", fmt::join(columns, ", "))));
    staging_.emplace(database_, "__staging", read_.size());
  }
  RETURN_IF_ERROR(staging_->add(cells));
  for (const auto& cell : cells) staged_bytes_ += cell ? cell->size() : 0;
  if (++staged_rows_ >= piece_rows_ || staged_bytes_ >= staging_bytes_max) return convert();
  return {};
}

// Texts become values; what no value of the column's type is, goes into the row's texts.
std::string Loader::conversion() const {
  std::vector<std::string> typed(domain_.columns.size());
  std::vector<std::string> raw;
  std::vector<std::string> values;
  std::vector<std::string> bad;
  std::vector<std::string> entries;
  for (size_t i = 0; i < typed.size(); ++i) {
    typed[i] = fmt::format("CAST(NULL AS {})", domain_type(domain_.columns[i].column.type));
  }
  for (size_t i = 0; i < read_.size(); ++i) {
    const DomainColumn& column = domain_.columns[read_[i]];
    bool same_type = type_of(*column.source) == column.column.type && column.source->type_modifier != -1;
    same_type |= column.column.type.id != TypeId::kDecimal && type_of(*column.source) == column.column.type;
    raw.push_back(fmt::format("s{}", i));
    std::string value = parse_for_domain(column.column.type, raw.back(), same_type);
    // The real 0.1, widened, is the double nearest to that real, not the double 0.1.
    if (type_of(*column.source).id == TypeId::kFloat32)
      value = fmt::format("CAST(TRY_CAST({} AS FLOAT) AS {})", raw.back(), domain_type(column.column.type));
    values.push_back(fmt::format("{} AS v{}", value, i));
    typed[read_[i]] = fmt::format("v{}", i);
    bad.push_back(fmt::format("(s{0} IS NOT NULL AND v{0} IS NULL)", i));
    entries.push_back(fmt::format("{{'k': {0}, 'v': CASE WHEN {1} THEN s{2} END}}",
                                  quote_duckdb_text(column.column.name), bad.back(), i));
  }
  return fmt::format(
      "INSERT INTO source.{} SELECT r, CASE WHEN {} THEN CAST(to_json(map_from_entries(list_filter([{}], lambda e: e.v "
      "IS NOT "
      "NULL))) AS VARCHAR) END, {} FROM (SELECT rowid + {} AS r, {}, {} FROM main.__staging)",
      quote_duckdb_identifier(domain_.name), fmt::join(bad, " OR "), fmt::join(entries, ", "), fmt::join(typed, ", "),
      domain_.rows, fmt::join(raw, ", "), fmt::join(values, ", "));
}

Status Loader::convert() {
  if (!staging_) return {};
  RETURN_IF_ERROR(staging_->flush());
  staging_.reset();
  RETURN_IF_ERROR(database_.run(conversion()));
  RETURN_IF_ERROR(database_.run("DROP TABLE main.__staging"));
  domain_.rows += staged_rows_;
  staged_rows_ = 0;
  staged_bytes_ = 0;
  RETURN_IF_ERROR(tell());
  return pause();
}

// Until the rows read so far are what the rate allows.
Status Loader::pause() {
  if (options_.rows_per_second == 0) return {};
  auto due = started_ + std::chrono::microseconds(domain_.rows * 1'000'000 / options_.rows_per_second);
  while (std::chrono::steady_clock::now() < due) {
    std::this_thread::sleep_until(std::min(due, std::chrono::steady_clock::now() + progress_interval));
    RETURN_IF_ERROR(tell());
  }
  return {};
}

Status Loader::tell() {
  if (!options_.progress) return {};
  return options_.progress(domain_.rows);
}

}  // namespace

Result<DomainTable> describe_domain(const VerifyDomain& domain, SourceTable table) {
  DomainTable result{.name = domain.name};
  std::vector<OutputColumn> declared = domain.columns;
  if (declared.empty()) {
    for (const SourceColumn& column : table.columns) declared.push_back({domain_name_of(column.name), type_of(column)});
  }
  for (OutputColumn& column : declared) {
    const SourceColumn* source = find_column(table, column.name);
    if (source == nullptr) {
      result.notes.push_back(fmt::format("{}: the source's table has no column {}", domain.name, column.name));
    } else if (declared_type_loses(*source, column.type)) {
      result.notes.push_back(fmt::format("{}.{}: the pipeline's type, {}, loses digits of the source's {}", domain.name,
                                         column.name, column.type.to_string(), source->type_name));
    }
    result.columns.push_back({std::move(column), source == nullptr ? std::nullopt : std::optional(*source)});
  }
  for (const SourceColumn& column : table.columns) {
    auto has = [&](const DomainColumn& known) { return known.source == column; };
    if (std::none_of(result.columns.begin(), result.columns.end(), has)) {
      result.notes.push_back(
          fmt::format("{}: the source's column {} is not in the pipeline's schema", domain.name, column.name));
    }
  }
  const std::vector<std::string>& key = domain.key.empty() ? table.key : domain.key;
  for (const std::string& name : key) {
    for (size_t i = 0; i < result.columns.size(); ++i) {
      const DomainColumn& column = result.columns[i];
      if (column.source && (column.column.name == name || column.source->name == name)) {
        result.key.push_back(i);
        break;
      }
    }
  }
  if (result.key.size() != key.size()) result.key.clear();
  if (std::none_of(result.columns.begin(), result.columns.end(),
                   [](const auto& column) { return column.source.has_value(); })) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("the source's table of {} has none of the domain's columns", domain.name)};
  }
  std::vector<OutputColumn> named;
  for (const DomainColumn& column : result.columns) named.push_back(column.column);
  if (tell_apart(named)) {
    for (size_t i = 0; i < named.size(); ++i) result.columns[i].column = std::move(named[i]);
  }
  result.table = std::move(table);
  return result;
}

bool tell_apart(std::vector<OutputColumn>& columns) {
  bool changed = false;
  std::set<std::string> taken;
  for (OutputColumn& column : columns) {
    std::string name = column.name;
    for (int i = 2; !taken.insert(lower_case(column.name)).second; ++i) {
      column.name = fmt::format("{} ({})", name, i);
      changed = true;
    }
  }
  return changed;
}

Status create_domain(ScratchDatabase& database, DomainTable& domain) { return Loader(database, domain, {}).create(); }

Status load_domain(ScratchDatabase& database, SourceReader& reader, DomainTable& domain,
                   const DomainLoadOptions& options) {
  Loader loader(database, domain, options);
  RETURN_IF_ERROR(loader.create());
  return loader.read(reader);
}

std::string member_path(std::string_view name) {
  std::string out = "/";
  for (char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out.push_back(c);
    }
  }
  return quote_duckdb_text(out);
}

std::string source_text_of(const DomainColumn& column) {
  std::string name = quote_duckdb_identifier(column.column.name);
  LogicalType type = column.column.type;
  std::string text = type.id == TypeId::kJson ? fmt::format("CAST({} AS VARCHAR)", name) : to_source_text(type, name);
  return fmt::format("coalesce({}, json_extract_string({}, {}))", text, texts_column, member_path(column.column.name));
}

}  // namespace tributary
