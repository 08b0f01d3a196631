#include "sinks/recording/mask.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <ranges>
#include <utility>

#include <weir/format.hpp>
#include <weir/partition.hpp>
#include <weir/shapes.hpp>

namespace weir::recording {
namespace {

constexpr std::size_t secret_size = 32;
constexpr std::size_t most_remembered = 1u << 18;
constexpr mode_t for_its_owner = 0600;

std::array<unsigned char, EVP_MAX_MD_SIZE> keyed_hash(std::string_view secret, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size);
  return out;
}

std::string hex_of(std::span<const unsigned char> bytes) {
  std::string out;
  for (const unsigned char byte : bytes) out += weir::format("{:02x}", byte);
  return out;
}

std::unexpected<Error> no_secret(const std::string& path, const char* what) {
  return fail(Error::Kind::refused, weir::format("can't {} {}: {}", what, path, std::strerror(errno)), "mask");
}

Result<std::string> make_secret(const std::string& path) {
  std::array<unsigned char, secret_size> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1)
    return fail(Error::Kind::refused, "the system gives no random numbers for the secret of the masks", "mask");
  const std::string secret = hex_of(random);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, for_its_owner);
  if (file < 0) return no_secret(path, "make");
  const bool written =
      ::write(file, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size()) && ::fsync(file) == 0;
  const int why = errno;
  ::close(file);
  if (written) return secret;
  ::unlink(path.c_str());
  errno = why;
  return no_secret(path, "write");
}

bool is_within(std::string_view part, std::string_view whole) {
  const std::less_equal<const char*> before;
  return !part.empty() && before(whole.data(), part.data()) &&
         before(part.data() + part.size(), whole.data() + whole.size());
}

bool is_same(std::string_view one, std::string_view other) {
  return one.data() == other.data() && one.size() == other.size();
}

/// Tokens between dots.
auto tokens_of(std::string_view subject) {
  return subject | std::views::split('.') | std::views::transform([](auto&& token) { return std::string_view{token}; });
}

/// Where the key is known to stand in the subject, another token like it may be a constant, or the vehicle once more.
bool hides_key(const Message& from) {
  if (!is_within(from.key, from.subject)) return false;
  return std::ranges::any_of(tokens_of(from.subject),
                             [&](std::string_view token) { return token == from.key && !is_same(token, from.key); });
}

}  // namespace

Result<std::string> secret_in(const std::string& path, bool may_make) {
  std::ifstream file{path};
  if (!file && errno == ENOENT && may_make) return make_secret(path);
  if (!file && errno == ENOENT)
    return fail(Error::Kind::invalid,
                path +
                    " is not there, which the masks in the recording come from: give \"mask_secret\" "
                    "(--mask-secret, $WEIR_MASK_SECRET), or record to another file",
                "mask");
  std::string secret{std::istreambuf_iterator<char>{file}, {}};
  if (file.bad() || !file.is_open()) return no_secret(path, "read");
  if (secret.empty())
    return fail(Error::Kind::invalid, path + " is empty: it must hold the secret of the masks", "mask");
  return secret;
}

bool others_may_read(const std::string& path) {
  using std::filesystem::perms;
  std::error_code problem;
  const auto permissions = std::filesystem::status(path, problem).permissions();
  return !problem && (permissions & (perms::group_read | perms::others_read)) != perms::none;
}

/// What the views of masked messages point into, beside the bytes of those that they come from.
struct Mask::Owner {
  Messages messages;
  std::deque<std::string> texts;
  std::shared_ptr<const Messages> from;

  std::string_view keep(std::string text) { return texts.emplace_back(std::move(text)); }
};

Mask::Mask(std::string secret, const Codec& codec, std::uint32_t partitions)
    : secret_{std::move(secret)}, codec_{codec}, partitions_{partitions} {}

std::string Mask::fingerprint() const {
  const auto hash = keyed_hash(secret_, std::string_view{"\0fingerprint", 12});  // no key has a NUL
  return hex_of(std::span{hash}.first(4));
}

std::string Mask::of(std::string_view key) {
  // Whoever sends may call anything a key.
  if (masks_.size() >= most_remembered) masks_.clear();
  std::string& mask = masks_[std::string{key}];
  if (!mask.empty()) return mask;
  const auto hash = keyed_hash(secret_, key);
  const std::string begins = hex_of(std::span{hash}.first(7));
  const Partition partition = partition_of(key, partitions_);
  // The last digits are those that bring it into the key's partition: of one in 4096 there are 16.
  auto number = static_cast<std::uint16_t>(hash[8] << 8 | hash[9]);
  for (std::uint32_t tries = 0; tries <= UINT16_MAX; ++tries, ++number) {
    mask = weir::format("{}{:04x}", begins, number);
    if (partition_of(mask, partitions_) == partition) break;
  }
  return mask;
}

/// Beside the key itself, tokens may be what the payload names.
std::string Mask::subject_of(const Message& from, const Named& named) {
  std::string out;
  for (const std::string_view token : tokens_of(from.subject)) {
    const bool other = named.contains(token) && !is_same(token, from.field);
    out += out.empty() ? "" : ".";
    out += !token.empty() && (token == from.key || other) ? of(token) : std::string{token};
  }
  return out;
}

bool Mask::mask(const Message& from, Message& into, Owner& owner) {
  into = from;
  into.headers = {};
  if (from.marker) return true;
  if (!from.refused.empty() || hides_key(from)) return false;
  Named named;
  auto payload = codec_.renamed(from, [&](std::string_view key) {
    named.emplace(key);
    return of(key);
  });
  if (!payload) return false;
  into.payload = owner.keep(std::move(*payload));
  into.subject = owner.keep(subject_of(from, named));
  if (!from.key.empty()) into.key = owner.keep(of(from.key));
  return true;
}

Mask::Masked Mask::batch(const Batch& decoded, std::span<const std::uint8_t> wanted) {
  Masked out;
  auto owner = std::make_shared<Owner>();
  owner->from = decoded.messages;
  const auto& items = decoded.messages->items;
  owner->messages.items.resize(items.size());
  out.keep.resize(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    Message& into = owner->messages.items[i];
    const bool is_wanted = wanted.empty() || wanted[i] != 0;
    const bool masked = is_wanted && mask(items[i], into, *owner);
    out.keep[i] = masked ? 1 : 0;
    out.left_out += is_wanted && !masked ? 1 : 0;
    if (masked) continue;
    into = {};
    into.sequence = items[i].sequence;
    into.arrival = items[i].arrival;
  }
  auto batch = std::make_shared<Batch>(decoded);
  Ids keys{{}, keys_};
  const Column& real = decoded.columns[samples::key];
  for (std::size_t row = 0; row < decoded.rows; ++row) {
    const auto id = keys_->intern(of(real.text(row)));
    keys.ids.push_back(id.value_or(0));
    if (!id) out.left_out += std::exchange(out.keep[decoded.message_of_row[row]], 0);
  }
  if (!real.absent()) batch->columns[samples::key] = Column::dictionary(std::move(keys));
  batch->messages = std::shared_ptr<const Messages>{owner, &owner->messages};
  out.batch = std::move(batch);
  return out;
}

}  // namespace weir::recording
