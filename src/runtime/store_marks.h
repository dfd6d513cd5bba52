// StoreMarks: whether the analytics store still has what it acknowledged. A table may be dropped, made anew or put back from an
// older copy behind our back, while state and offsets say that its rows were sent.
//
// What the store says of each table is noted once rows of it are acknowledged, and compared at the next start, before
// anything is sent. That a table has a column is compared at each note, too, and never forgotten: no table loses one by us.
// One thread.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "contracts/analytics.h"
#include "storage/storage.h"

namespace tributary {

class StoreMarks {
 public:
  StoreMarks(Storage& storage, AnalyticsStore& store) : storage_(storage), store_(store) {}

  // Those of ours that are not there, hold less than was noted of them, or lack a column that they had.
  Result<std::vector<std::string>> lost(std::span<const TableDefinition> ours);
  // Nothing but their columns is known of the tables: they are about to be altered by us.
  Status forget();
  // What the store has now is acknowledged. Those of ours that are not there any more or lack a column that they had are not
  // noted: they are lost.
  Result<std::vector<std::string>> note(std::span<const TableDefinition> ours);

 private:
  Status load();

  Storage& storage_;
  AnalyticsStore& store_;
  std::map<std::string, TableMark> noted_;
  bool loaded_ = false;
};

}  // namespace tributary
