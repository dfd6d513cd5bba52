// Messages of transactions that are still in progress (pgoutput's streaming), kept until their commit: in memory up to a
// budget, then in one file a transaction.
//
// The files are scratch: their format is nobody else's, and what an earlier run left is removed at the start. Not
// thread-safe; writes go to the page cache. After an error (kResourceExhausted: the disk is full) the client reconnects and the server sends
// the transaction again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tributary {

class TransactionSpill {
 public:
  struct Message {
    uint32_t subtransaction = 0;
    uint64_t lsn = 0;
    std::string_view bytes;  // valid until the next call
  };

  // Reads a committed transaction back, in order, a piece at a time.
  class Reader {
   public:
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    // False at the end.
    Result<bool> next(Message& out);
    // Whether the message belongs to a subtransaction that was rolled back.
    bool aborted(const Message& message) const { return aborted_.contains(message.subtransaction); }

   private:
    friend class TransactionSpill;
    Reader() = default;
    Status fill();
    int file_ = -1;
    std::string buffer_;  // first the file in pieces, then what was in memory
    size_t at_ = 0;
    std::string tail_;
    std::set<uint32_t> aborted_;
  };

  // Files are made in `directory`, which exists, with names that begin with `prefix`.
  TransactionSpill(std::string directory, std::string prefix, size_t memory_bytes_max);
  ~TransactionSpill();

  Status add(uint32_t transaction, const Message& message);
  // A subtransaction is rolled back, or the whole one where both ids are equal.
  void abort(uint32_t transaction, uint32_t subtransaction);
  // The transaction's messages; it is forgotten here. One that was never seen has none.
  Result<std::unique_ptr<Reader>> commit(uint32_t transaction);
  bool empty() const { return transactions_.empty(); }

 private:
  struct Transaction {
    std::string memory;
    int file = -1;
    std::set<uint32_t> aborted;
  };
  Status write_out(Transaction& transaction);
  void forget(uint32_t transaction);

  std::string directory_;
  std::string prefix_;
  size_t memory_bytes_max_;
  size_t memory_bytes_ = 0;
  std::map<uint32_t, Transaction> transactions_;
};

}  // namespace tributary
