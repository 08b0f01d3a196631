// Ed25519 against RFC 8032 and OpenSSL; logins by NKey and JWT at a real server.
#include <openssl/evp.h>
#include <weir_sign.h>

#include <array>
#include <random>

#include "fakes/nkeys.hpp"
#include "real_server.hpp"

extern "C" {
void weir_ed25519_public(const std::uint8_t secret[32], std::uint8_t public_key[32]);
void weir_ed25519_sign(const std::uint8_t secret[32], const std::uint8_t* message, std::size_t size,
                       std::uint8_t signature[64]);
}

namespace weir::firmware {
namespace {

std::vector<std::uint8_t> bytes_of(std::string_view hex) {
  std::vector<std::uint8_t> out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string{hex.substr(i, 2)}, nullptr, 16)));
  }
  return out;
}

struct Rfc8032 {
  const char *secret, *public_key, *message, *signature;
};

// RFC 8032, section 7.1, tests 1 to 3
constexpr Rfc8032 vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
     "55141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
     "00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
     "027beceea1ec40a"}};

TEST(Signing, agreesWithRfc8032) {
  for (const auto& vector : vectors) {
    const auto secret = bytes_of(vector.secret), message = bytes_of(vector.message);
    std::vector<std::uint8_t> public_key(32), signature(64);
    weir_ed25519_public(secret.data(), public_key.data());
    weir_ed25519_sign(secret.data(), message.data(), message.size(), signature.data());
    EXPECT_EQ(public_key, bytes_of(vector.public_key));
    EXPECT_EQ(signature, bytes_of(vector.signature));
  }
}

TEST(Signing, agreesWithOpenssl) {
  std::mt19937 random{7};
  for (int i = 0; i < 100; ++i) {
    std::array<std::uint8_t, 32> secret{};
    for (auto& byte : secret) byte = static_cast<std::uint8_t>(random());
    std::vector<std::uint8_t> message(random() % 300);
    for (auto& byte : message) byte = static_cast<std::uint8_t>(random());
    std::array<std::uint8_t, 64> ours{}, theirs{};
    weir_ed25519_sign(secret.data(), message.data(), message.size(), ours.data());
    EVP_PKEY* key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), secret.size());
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    std::size_t size = theirs.size();
    ASSERT_EQ(EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key), 1);
    ASSERT_EQ(EVP_DigestSign(context, theirs.data(), &size, message.data(), message.size()), 1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    ASSERT_EQ(ours, theirs) << "message of " << message.size();
  }
}

TEST(Signing, refusesWhatIsNoSeedOfAUser) {
  const fakes::TemporaryDirectory files;
  const fakes::NKey user{files, 'U'}, account{files, 'A'};
  std::array<std::uint8_t, 64> signature{};
  const auto sign = [&](std::string seed) { return weir_sign_with_seed(seed.data(), nullptr, 0, signature.data()); };
  EXPECT_EQ(sign(user.seed()), WEIR_OK);
  EXPECT_EQ(sign(account.seed()), WEIR_ERROR_CONFIG);
  EXPECT_EQ(sign(user.id()), WEIR_ERROR_CONFIG);
  auto wrong = user.seed();
  wrong[20] = wrong[20] == 'A' ? 'B' : 'A';
  EXPECT_EQ(sign(wrong), WEIR_ERROR_CONFIG);
  wrong[20] = '!';
  EXPECT_EQ(sign(wrong), WEIR_ERROR_CONFIG);
  EXPECT_EQ(weir_sign_with_seed(nullptr, nullptr, 0, signature.data()), WEIR_ERROR_CONFIG);
}

TEST(Server, takesAnNKey) {
  const fakes::TemporaryDirectory files;
  const fakes::NKey device{files, 'U'}, stranger{files, 'U'};
  const fakes::Servers servers{
      "nats", "authorization { users: [ { nkey: " + device.id() + " }, { user: reader, password: reader } ] }\n"};
  const Stream stream{servers.nats(), "vehicle.>",
                      [](natsOptions* options) { check(natsOptions_SetUserInfo(options, "reader", "reader")); }};
  RealSensor sensor{servers.nats()};
  std::string seed = device.seed(), other = stranger.seed();
  sensor.config.nats.nkey = device.id().c_str();
  sensor.config.nats.sign = weir_sign_with_seed;
  sensor.config.nats.sign_context = other.data();
  sensor.start();
  weir_sensor_sample(&sensor.sensor, 1, 1);
  ASSERT_TRUE(sensor.poll_until([&] { return sensor.sensor.nats.statistics.last_error == WEIR_ERROR_AUTHORIZATION; }));
  sensor.config.nats.sign_context = seed.data();
  ASSERT_TRUE(sensor.drain());
  EXPECT_EQ(stream.samples(), std::vector<std::string>{"1 1"});
}

TEST(Server, takesAJwt) {
  const fakes::TemporaryDirectory files;
  const fakes::Credentials credentials{files};
  const fakes::Servers servers{"nats", credentials.server_conf};
  const Stream stream{servers.nats(), "vehicle.>", [&](natsOptions* options) {
                        check(natsOptions_SetUserCredentialsFromFiles(options, credentials.file.c_str(), nullptr));
                      }};
  const auto text = fakes::read_file(credentials.file);
  const auto begin = text.find('\n') + 1;
  const auto jwt = text.substr(begin, text.find('\n', begin) - begin);
  auto seed = credentials.seed;
  RealSensor sensor{servers.nats()};
  sensor.config.nats.jwt = jwt.c_str();
  sensor.config.nats.sign = weir_sign_with_seed;
  sensor.config.nats.sign_context = seed.data();
  sensor.start();
  weir_sensor_sample(&sensor.sensor, 1, 1);
  ASSERT_TRUE(sensor.drain());
  EXPECT_EQ(stream.samples(), std::vector<std::string>{"1 1"});
}

}  // namespace
}  // namespace weir::firmware
