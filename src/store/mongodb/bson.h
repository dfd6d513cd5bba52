// A BSON document with an owner.
#pragma once

#include <bson/bson.h>

#include <utility>

namespace tributary {

// A document, freed with it. Empty when made.
class Bson {
 public:
  Bson() : document_(bson_new()) {}
  // Takes over what a driver's function gave.
  explicit Bson(bson_t* document) : document_(document) {}
  Bson(Bson&& other) noexcept : document_(std::exchange(other.document_, nullptr)) {}
  Bson& operator=(Bson&& other) noexcept {
    std::swap(document_, other.document_);
    return *this;
  }
  ~Bson() { bson_destroy(document_); }

  bson_t* get() const { return document_; }
  bson_t& operator*() const { return *document_; }

 private:
  bson_t* document_;
};

}  // namespace tributary
