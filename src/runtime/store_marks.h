// StoreMarks: whether the analytics store still has what it acknowledged. A table may be dropped, made anew or put back from an
// older copy behind our back, while state and offsets say that its rows were sent.
//
// What the store says of each table is noted once rows of it are acknowledged, and compared at the next start, before
// anything is sent. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "contracts/analytics.h"
#include "storage/storage.h"

namespace tributary {

class StoreMarks {
 public:
  StoreMarks(Storage& storage, AnalyticsStore& store) : storage_(storage), store_(store) {}

  // Tables that are not there, or hold less than was noted of them.
  Result<std::vector<std::string>> lost();
  // Nothing is known of the tables: they are about to be altered by us.
  Status forget();
  // What the store has now is acknowledged.
  Status note();

 private:
  Storage& storage_;
  AnalyticsStore& store_;
  std::map<std::string, TableMark> noted_;  // by this object
};

}  // namespace tributary
