// A store in memory for the simulation. It refuses a call now and then, or does it and says that it did not; then it gets it
// again.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "process/memory_tables.h"

namespace tributary::simulation {

class StoreInMemory final : public AnalyticsStore {
 public:
  explicit StoreInMemory(uint64_t seed) : random_(seed ^ 0x5707E) {}

  void fail(bool sometimes) { fails_ = sometimes; }
  size_t conflicts() const { return tables_.conflicts(); }

  // The table that clients read as this view; empty: none.
  std::string shown_table(const std::string& view) const {
    auto at = shown_.find(view);
    return at == shown_.end() ? "" : at->second;
  }
  std::optional<std::vector<std::vector<std::string>>> shown_rows(const std::string& view, const ClientId& client,
                                                                  std::span<const OutputColumn> columns) const {
    if (!shown_.contains(view)) return std::nullopt;
    return rows_of(shown_.at(view), client, columns);
  }
  std::vector<std::vector<std::string>> rows_of(const std::string& table, const ClientId& client,
                                                std::span<const OutputColumn> columns) const {
    return tables_.rows(table, client, columns);
  }

  Status prepare(std::span<const TableDefinition> tables, std::span<const ClientId>) override {
    for (const TableDefinition& table : tables) {
      if (table.shown) shown_[table.read_name()] = table.name;
      if (table.hidden) shown_.erase(table.read_name());
    }
    return {};
  }

  Result<std::string> encode(const TableDefinition& table, const OutputBatch& rows) const override {
    encoded_.emplace_back(table, rows);
    return std::to_string(encoded_.size() - 1);
  }

  Status insert(const std::string& table, std::span<const std::string_view> encoded) override {
    return perhaps([&] {
      for (std::string_view bytes : encoded) {
        const auto& [definition, rows] = encoded_[std::stoul(std::string(bytes))];
        CHECK(definition.name == table);
        tables_.insert(definition, rows);
      }
    });
  }

  Status withdraw(const Withdrawal& withdrawal) override {
    return perhaps([&] { tables_.withdraw(withdrawal); });
  }

  Result<std::map<std::string, TableMark>> marks() override { return std::map<std::string, TableMark>{}; }

  Status drop(const std::string& table) override {
    tables_.drop(table);
    return {};
  }

 private:
  template <typename Do>
  Status perhaps(Do&& work) {
    Error later{ErrorCode::kUnavailable, "the store does not answer"};
    if (fails_ && random_.one_in(6)) return later;
    work();
    if (fails_ && random_.one_in(6)) return later;
    return {};
  }

  Random random_;
  bool fails_ = true;
  MemoryTables tables_;
  std::map<std::string, std::string> shown_;  // view → table
  mutable std::vector<std::pair<TableDefinition, OutputBatch>> encoded_;
};

}  // namespace tributary::simulation
