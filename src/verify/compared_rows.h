// The two tables that are compared, in one shape: c0, c1, … in compared_type() of the view's columns, and `texts`, the
// values that these types cannot hold: {"0":"NaN"}, by the column's number. main.__s is the source's answer, main.__a the
// analytics'.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "verify/domain_loader.h"
#include "verify/view_sql.h"

namespace tributary {

struct UncomputedRow {
  std::string key;  // as RowDifference::key
  std::string reason;
};

struct SourceAnswer {
  std::vector<UncomputedRow> failed;  // rows on which the SQL fails, and which are not among the dead letters
  std::vector<std::string> excepted_keys;  // dead letters that are in the source
};

// The key as RowDifference has it: a JSON array of texts.
std::string key_json_of(const std::vector<std::optional<std::string>>& key);

// Which of the view's columns are its domain's key, in the key's order; empty where it does not pass it through whole.
std::vector<size_t> key_columns(const PreparedView& prepared, const DomainTable& domain);

// Runs a view of one domain's rows over the loaded domain into main.__s (row BIGINT, excepted BOOLEAN, c0 …, texts). Rows of
// dead letters are computed apart: where they can be, they are in main.__s as excepted. An error is about the view.
Result<SourceAnswer> run_by_row(ScratchDatabase& database, const VerifyView& view, const PreparedView& prepared,
                                const DomainTable& domain, const std::vector<VerifyKey>& dead_letters);

// The same from the view's table answer.NAME (view_evaluation.h). A row that depends on a value that its type cannot hold has
// failed, unless its key, of the columns `key`, is among the `dead` ones: that one is excepted.
Result<SourceAnswer> take_answer(ScratchDatabase& database, const VerifyView& view, const std::vector<size_t>& key,
                                 const std::set<std::string>& dead);

// SQL: the columns c0 …, texts of such a table.
std::string compared_columns_sql(const VerifyView& view);
// SQL that gives c0 …, texts out of columns v0 … (values) and t0 … (texts, where there is no value).
std::string gathered_sql(const VerifyView& view);

// SQL: a compared column as text, also where its type cannot hold the value.
std::string compared_text(const VerifyView& view, size_t column, const std::string& table);

}  // namespace tributary
