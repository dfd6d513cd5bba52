// Flow: what one node of a graph gives in one round.
#pragma once

#include <vector>

#include "model/position.h"
#include "process/rows.h"

namespace tributary {

// Rows that are functions of one domain's row, with what their versions are made of.
struct VersionedRows {
  Rows rows;  // weights +1
  std::vector<Position> positions;
  std::vector<uint32_t> fills;
  std::vector<uint32_t> revisions;  // of the client's attributes

  void begin_like(const VersionedRows& other, size_t row, std::string key) {
    rows.begin(rows.client(other.rows.client_at(row)), std::move(key), +1);
    positions.push_back(other.positions[row]);
    fills.push_back(other.fills[row]);
    revisions.push_back(other.revisions[row]);
  }
};

struct Flow {
  // Of nodes that work by row:
  VersionedRows live;   // as they are now
  VersionedRows gone;   // not there (any more): only columns passed through from the domain's key have their values
  Rows before;          // as the round before left them, −1; only where something above takes back
  // Of the others; of nodes by row once somebody asked (Round::changes_of):
  Rows changes;
  bool changes_known = false;
};

}  // namespace tributary
