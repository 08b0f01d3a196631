/// FlatBuffers in the heads and bodies of a recording's frames.
#pragma once

#include <recording_generated.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::recording {

/// The root of bytes that anybody may have written; null if they are not a table of this kind. The bytes begin at a
/// multiple of 8.
template <typename Table>
const Table* root_of(std::string_view bytes) {
  flatbuffers::Verifier verifier{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  return verifier.VerifyBuffer<Table>(nullptr) ? flatbuffers::GetRoot<Table>(bytes.data()) : nullptr;
}

inline std::string bytes_of(const flatbuffers::FlatBufferBuilder& finished) {
  return {reinterpret_cast<const char*>(finished.GetBufferPointer()), finished.GetSize()};
}

inline std::string text_of(const flatbuffers::String* text) { return text == nullptr ? std::string{} : text->str(); }

}  // namespace weir::recording
