/// NKeys and the JWTs of NATS accounts, as operators of servers make them: Ed25519 keys in base32 with a CRC-16.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

#include <weir/format.hpp>

#include "fakes/temporary_directory.hpp"

namespace weir::fakes {

inline void run_openssl(const std::string& arguments) {
  const std::string command = "openssl " + arguments + " 2>/dev/null";
  if (std::system(command.c_str()) != 0) throw std::runtime_error{"failed: " + command};
}

inline std::string read_file(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

namespace nkeys {

/// RFC 4648, sections 5 (base64url) and 6 (base32), without padding.
inline std::string in_digits(std::string_view bytes, std::string_view digits, unsigned bits_each) {
  std::string out;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= bits_each; count -= bits_each)
      out += digits[bits >> (count - bits_each) & (digits.size() - 1)];
  }
  if (count > 0) out += digits[bits << (bits_each - count) & (digits.size() - 1)];
  return out;
}
inline std::string base32(std::string_view bytes) { return in_digits(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 5); }
inline std::string base64url(std::string_view bytes) {
  return in_digits(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6);
}

/// Appends CRC-16/XMODEM, low byte first, and encodes.
inline std::string sealed(std::string bytes) {
  std::uint16_t crc = 0;
  for (const char c : bytes) {
    crc = static_cast<std::uint16_t>(crc ^ static_cast<unsigned char>(c) << 8);
    for (int bit = 0; bit < 8; ++bit)
      crc = static_cast<std::uint16_t>((crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1);
  }
  bytes += static_cast<char>(crc & 0xff);
  bytes += static_cast<char>(crc >> 8);
  return base32(bytes);
}

}  // namespace nkeys

/// A key pair of a user (U), account (A) or operator (O).
class NKey {
 public:
  NKey(const TemporaryDirectory& directory, char role) : directory_{directory} {
    static int number = 0;
    name_ = weir::format("key-{}", ++number);
    run_openssl(weir::format("genpkey -algorithm ed25519 -out {}", pem()));
    run_openssl(weir::format("pkey -in {} -outform DER -out {}.der", pem(), directory_.file(name_)));
    run_openssl(weir::format("pkey -in {} -pubout -outform DER -out {}.pub", pem(), directory_.file(name_)));
    const auto last32 = [&](const char* suffix) {
      const std::string der = read_file(directory_.file(name_ + suffix));
      return der.substr(der.size() - 32);
    };
    const auto prefix = static_cast<unsigned char>((role - 'A') << 3);
    const auto seed = static_cast<unsigned char>(('S' - 'A') << 3);
    id_ = nkeys::sealed(static_cast<char>(prefix) + last32(".pub"));
    const std::array<char, 2> head{static_cast<char>(seed | prefix >> 5), static_cast<char>((prefix & 31) << 3)};
    seed_ = nkeys::sealed(std::string{head.data(), 2} + last32(".der"));
  }

  const std::string& id() const { return id_; }      ///< the public key
  const std::string& seed() const { return seed_; }  ///< the private one

  /// A JWT that this key vouches for. `claims`: a JSON object without its braces.
  std::string jwt(std::string_view subject, std::string_view claims) const {
    const std::string text = nkeys::base64url(R"({"typ":"JWT","alg":"ed25519-nkey"})") + "." +
                             nkeys::base64url(weir::format(
                                 R"({{"jti":"1","iat":1700000000,"iss":"{}","sub":"{}","name":"test","nats":{{{}}}}})",
                                 id_, subject, claims));
    directory_.write(name_ + ".text", text);
    run_openssl(weir::format("pkeyutl -sign -rawin -inkey {} -in {}.text -out {}.sig", pem(), directory_.file(name_),
                             directory_.file(name_)));
    return text + "." + nkeys::base64url(read_file(directory_.file(name_ + ".sig")));
  }

 private:
  std::string pem() const { return directory_.file(name_ + ".pem"); }

  const TemporaryDirectory& directory_;
  std::string name_, id_, seed_;
};

/// A server that knows its users by JWT: lines for its configuration, and the credentials file of one user.
struct Credentials {
  explicit Credentials(const TemporaryDirectory& directory) {
    const NKey owner{directory, 'O'}, system{directory, 'A'}, account{directory, 'A'}, user{directory, 'U'};
    constexpr std::string_view no_limits = R"("subs":-1,"data":-1,"payload":-1)";
    const auto claims = [&](std::string_view more) {
      return weir::format(
          R"("type":"account","version":2,"limits":{{{},"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1{}}})",
          no_limits, more);
    };
    constexpr std::string_view jetstream = R"(,"mem_storage":-1,"disk_storage":-1,"streams":-1,"consumer":-1)";
    server_conf = weir::format(
        "operator: \"{0}\"\nsystem_account: {1}\nresolver: MEMORY\nresolver_preload: {{ {1}: \"{2}\", {3}: \"{4}\" "
        "}}\n",
        owner.jwt(owner.id(), R"("type":"operator","version":2)"), system.id(), owner.jwt(system.id(), claims("")),
        account.id(), owner.jwt(account.id(), claims(jetstream)));
    file = directory.write(
        "user.creds",
        weir::format("-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n"
                     "-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
                     account.jwt(user.id(), weir::format(R"("type":"user","version":2,{})", no_limits)), user.seed()));
    seed = user.seed();
  }

  std::string server_conf, file, seed;
};

}  // namespace weir::fakes
