#include "capture/postgres/transaction_spill.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr size_t header_bytes = 4 + 8 + 4;  // subtransaction, LSN, size
constexpr size_t read_piece_bytes = 256 << 10;

Error file_error(std::string_view doing, const std::string& directory) {
  auto code = errno == ENOSPC || errno == EDQUOT ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable;
  return {code, fmt::format("{} the spill of a large transaction in {}: {}; make room there", doing, directory,
                            std::strerror(errno))};
}

}  // namespace

TransactionSpill::TransactionSpill(std::string directory, std::string prefix, size_t memory_bytes_max)
    : directory_(std::move(directory)), prefix_(std::move(prefix)), memory_bytes_max_(memory_bytes_max) {}

TransactionSpill::~TransactionSpill() {
  for (auto& [id, transaction] : transactions_) {
    if (transaction.file >= 0) close(transaction.file);
  }
}

Status TransactionSpill::add(uint32_t id, const Message& message) {
  Transaction& transaction = transactions_[id];
  put_u32(transaction.memory, message.subtransaction);
  put_u64(transaction.memory, message.lsn);
  put_u32(transaction.memory, static_cast<uint32_t>(message.bytes.size()));
  transaction.memory.append(message.bytes);
  memory_bytes_ += header_bytes + message.bytes.size();
  if (memory_bytes_ <= memory_bytes_max_) return {};
  // The one that grows goes to disk; others that stand still keep what they have, unless that is the budget itself.
  RETURN_IF_ERROR(write_out(transaction));
  if (memory_bytes_ > memory_bytes_max_ / 2) {
    for (auto& [other_id, other] : transactions_) RETURN_IF_ERROR(write_out(other));
  }
  return {};
}

Status TransactionSpill::write_out(Transaction& transaction) {
  if (transaction.memory.empty()) return {};
  if (transaction.file < 0) {
    // Unlinked at once: no crash leaves it behind.
    std::string path = fmt::format("{}/{}.XXXXXX", directory_, prefix_);
    transaction.file = mkostemp(path.data(), O_CLOEXEC);
    if (transaction.file < 0) return file_error("cannot make", directory_);
    unlink(path.c_str());
  }
  std::string_view rest = transaction.memory;
  while (!rest.empty()) {
    ssize_t written = write(transaction.file, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error("cannot write", directory_);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  memory_bytes_ -= transaction.memory.size();
  transaction.memory = {};
  return {};
}

void TransactionSpill::forget(uint32_t id) {
  auto at = transactions_.find(id);
  if (at == transactions_.end()) return;
  memory_bytes_ -= at->second.memory.size();
  if (at->second.file >= 0) close(at->second.file);
  transactions_.erase(at);
}

void TransactionSpill::abort(uint32_t transaction, uint32_t subtransaction) {
  if (transaction == subtransaction) {
    forget(transaction);
  } else if (auto at = transactions_.find(transaction); at != transactions_.end()) {
    at->second.aborted.insert(subtransaction);
  }
}

Result<std::unique_ptr<TransactionSpill::Reader>> TransactionSpill::commit(uint32_t id) {
  std::unique_ptr<Reader> reader(new Reader());
  auto at = transactions_.find(id);
  if (at == transactions_.end()) return reader;
  if (at->second.file >= 0 && lseek(at->second.file, 0, SEEK_SET) != 0) return file_error("cannot read", directory_);
  reader->file_ = std::exchange(at->second.file, -1);
  memory_bytes_ -= at->second.memory.size();
  reader->tail_ = std::exchange(at->second.memory, {});
  reader->aborted_ = std::move(at->second.aborted);
  forget(id);
  return reader;
}

TransactionSpill::Reader::~Reader() {
  if (file_ >= 0) close(file_);
}

// Appends the next piece of the file to what of the buffer is not used up, or the tail once the file has ended.
Status TransactionSpill::Reader::fill() {
  buffer_.erase(0, at_);
  at_ = 0;
  if (file_ >= 0) {
    size_t old_size = buffer_.size();
    buffer_.resize(old_size + read_piece_bytes);
    ssize_t got = read(file_, buffer_.data() + old_size, read_piece_bytes);
    buffer_.resize(old_size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno != EINTR) return file_error("cannot read", "its folder");
    if (got == 0) {
      close(file_);
      file_ = -1;
    }
    return {};
  }
  buffer_.append(std::exchange(tail_, {}));
  return {};
}

Result<bool> TransactionSpill::Reader::next(Message& out) {
  while (true) {
    ByteReader reader(std::string_view(buffer_).substr(at_));
    out.subtransaction = reader.u32();
    out.lsn = reader.u64();
    uint32_t size = reader.u32();
    out.bytes = reader.bytes(size);
    if (reader.ok()) {
      at_ += reader.position();
      return true;
    }
    if (file_ < 0 && tail_.empty()) {
      if (at_ == buffer_.size()) return false;
      return Error{ErrorCode::kCorrupt, "the spill of a large transaction is cut short"};
    }
    RETURN_IF_ERROR(fill());
  }
}

}  // namespace tributary
