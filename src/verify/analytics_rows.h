// The analytics' side of a comparison: what is asked, and the answer as main.__a (compared_rows.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/domain_loader.h"
#include "verify/view_sql.h"

namespace tributary {

// ClickHouse SQL that reads the view's rows; `key` and `keys`: these rows only, where their types allow to say so.
std::string analytics_query(const VerifyView& view, const std::vector<size_t>& key, const std::vector<VerifyKey>* keys);

// Reads the answer of analytics_query() into main.__a (c0 …, texts).
class AnalyticsLoader {
 public:
  AnalyticsLoader(ScratchDatabase& database, const VerifyView& view);

  Status open();
  Status feed(std::string_view piece);
  Status finish();
  uint64_t rows() const { return reader_.rows(); }

 private:
  Status add(TabSeparatedReader::Row cells);
  Status convert();

  ScratchDatabase& database_;
  const VerifyView& view_;
  TabSeparatedReader reader_;
  std::optional<TextLoader> staging_;
  uint64_t staged_rows_ = 0;
  size_t staged_bytes_ = 0;
};

}  // namespace tributary
