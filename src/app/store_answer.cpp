#include "app/store_answer.h"

namespace tributary {

using nlohmann::json;

Result<StoreAnswer> ask_store(ClickHouseStore& store, const std::string& sql, std::chrono::milliseconds limit) {
  ASSIGN_OR_RETURN(std::string text, store.execute(sql, "JSONCompact", limit));
  json parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("data") || !parsed.contains("meta"))
    return Error{ErrorCode::kInternal, "the analytics store's answer does not parse"};
  StoreAnswer answer;
  for (const json& column : parsed["meta"]) answer.columns.push_back(column["name"].get<std::string>());
  answer.rows = std::move(parsed["data"]);
  return answer;
}

}  // namespace tributary
