// What the records of a state topic mean together, read in the order of their offsets (docs/formats/kafka-state.md).
// Every node folds the same records to the same state, so that "the first lease of a number counts" decides for all of
// them who owns a client, and a record written under an older lease means nothing to any of them. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "log/kafka/state_record.h"

namespace tributary {

class StateFold {
 public:
  struct Client {
    uint64_t lease = 0;  // the newest; 0: never taken
    std::string owner;  // who wrote that lease
    SourceState entries;
    std::map<std::string, std::vector<SchemaPtr>> schemas;  // by table: versions 1, 2, …
    std::map<std::pair<std::string, uint32_t>, std::string> schema_writers;  // by table and version
    std::vector<std::string> outdated;  // keys of older leases' records, to be removed by the next owner
  };

  // `value` without data is a tombstone: its record says nothing any more. kCorrupt: a record of ours that does not decode.
  // Gives where partitions end by this record.
  Result<std::vector<AppendedPart>> apply(std::string_view key, std::optional<std::string_view> value);

  const Client& client(const ClientId& id);
  std::vector<ClientId> clients() const;  // those that a lease was ever taken of
  // That events may ever have been written to, with the domain of those events.
  const std::map<std::string, std::string>& topics() const { return topics_; }
  void forget_outdated(const ClientId& id) { clients_[id].outdated.clear(); }

 private:
  Result<std::vector<AppendedPart>> apply_source(const StateRecordKey& key, std::string_view value);
  void apply_lease(const StateRecordKey& key, std::string_view bytes);
  Status apply_schema(const StateRecordKey& key, std::string_view value);

  std::map<ClientId, Client> clients_;
  std::map<std::string, std::string> topics_;
  std::map<ClientId, std::vector<std::string>> keys_;  // of each client's newest lease
};

}  // namespace tributary
