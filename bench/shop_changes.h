// A shop's tables and a seeded stream of changes to them, for the benchmark of processing. The same seed and sizes give the
// same changes, in whatever images the source gives them.
//
//   ShopChanges shop({.orders = 100'000}, images);
//   while (shop.fill(10'000, batches)) …                    // every row once
//   shop.change(1'000'000, {{"orders", 9}, {"users", 1}}, batches);
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/event_batch.h"

namespace tributary::bench {

struct ShopSizes {
  uint64_t orders = 100'000;
  uint64_t orders_per_user = 10;
};

// Of 10 changes to a table 7 update a row in all columns but its key, 2 insert one, 1 deletes one.
class ShopChanges {
 public:
  using Mix = std::map<std::string, uint64_t>;  // domain → its share
  using Batches = std::map<std::string, EventBatch>;  // by domain

  ShopChanges(ShopSizes sizes, OldImage images);

  // Every table, with the names of the domains that it feeds.
  const std::map<std::string, SchemaPtr>& schemas() const { return schemas_; }
  // Schemas as they were registered.
  void use(const std::string& domain, SchemaPtr schema) { schemas_[domain] = std::move(schema); }

  // Inserts of the rows that are there from the beginning, at most `events` of them, in batches of `client`. False: no more.
  bool fill(const ClientId& client, const Mix& domains, uint64_t events, Batches& batches);
  void change(const ClientId& client, const Mix& mix, uint64_t events, Batches& batches);

  uint64_t rows() const { return rows_; }  // that are there now

 private:
  struct Table {
    uint64_t first_rows = 0;
    std::vector<uint32_t> versions;  // of each row ever inserted; 0: deleted
  };

  void append(const ClientId& client, const std::string& domain, uint64_t row, uint32_t before, uint32_t after,
              Batches& batches);
  void append_cells(std::vector<Column>& columns, const std::string& domain, uint64_t row, uint32_t version) const;
  void change_one(const ClientId& client, const std::string& domain, Batches& batches);

  ShopSizes sizes_;
  OldImage images_;
  std::map<std::string, SchemaPtr> schemas_;
  std::map<std::string, Table> tables_;
  Random random_{20'26};
  uint64_t commit_ = 0;
  uint64_t rows_ = 0;
};

}  // namespace tributary::bench
