// What the analytics store answers to one of our own questions.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "store/clickhouse/clickhouse_store.h"

namespace tributary {

struct StoreAnswer {
  std::vector<std::string> columns;
  nlohmann::json rows;  // arrays; decimals and 64-bit integers are text
};

// `limit` 0: the endpoint's. kInternal: the answer does not parse.
Result<StoreAnswer> ask_store(ClickHouseStore& store, const std::string& sql, std::chrono::milliseconds limit = {});

}  // namespace tributary
