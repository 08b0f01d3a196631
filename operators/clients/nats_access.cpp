#include <nats/nats.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <ranges>

#include <weir/format.hpp>

#include "clients/nats.hpp"

namespace weir::nats {
namespace {

/// The text of a file, or why it can't be had.
Result<std::string> read(const std::string& path, const std::string& setting) {
  std::ifstream in{path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (in && !text.empty()) return text;
  const char* why = !in && errno != 0 ? std::strerror(errno) : "the file is empty";
  return fail(Error::Kind::invalid, weir::format("NATS: can't read {} {}: {}", setting, path, why), setting);
}

/// The first word that begins like a user's seed.
std::string seed_in(const std::string& text) {
  const auto begin = text.find("SU");
  const auto end = text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", begin);
  return begin == std::string::npos ? std::string{} : text.substr(begin, end - begin);
}

bool signs(const std::string& seed) {
  unsigned char* signature = nullptr;
  int length = 0;
  if (nats_Open(-1) != NATS_OK) return false;  // before the first connection nothing can sign yet
  const natsStatus status = nats_Sign(seed.c_str(), "nonce", &signature, &length);
  std::free(signature);
  return status == NATS_OK;
}

std::string problem_of_url(std::string_view url) {
  constexpr std::array<std::string_view, 4> schemes{"nats", "tls", "ws", "wss"};
  const std::string shown = redacted(url);
  const auto scheme = url.find("://");
  if (scheme != std::string_view::npos && !std::ranges::contains(schemes, url.substr(0, scheme)))
    return weir::format("{} does not begin with nats:// or tls://", shown);
  std::string_view host = url.substr(scheme == std::string_view::npos ? 0 : scheme + 3);
  host.remove_prefix(host.rfind('@') + 1);  // npos + 1 is 0
  host = host.substr(0, host.find('/'));
  const auto bracket = host.rfind(']');
  const auto colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (host.substr(0, colon).empty()) return weir::format("{} names no host; write nats://host:4222", shown);
  if (colon == std::string_view::npos) return {};
  const std::string_view text = host.substr(colon + 1);
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc{} && end == text.data() + text.size() && port > 0 && port < 65536) return {};
  return weir::format("{}: the port must be a number from 1 to 65535", shown);
}

Field optional_text(std::string name, std::string doc) {
  return {.name = std::move(name), .kind = kind::text(), .doc = std::move(doc), .required = false};
}

std::string text_or_empty(const Settings& settings, std::string_view name) {
  return settings.has(name) ? settings.text(name) : std::string{};
}

}  // namespace

Spec with_access(Spec spec) {
  spec.field("url", kind::text(), "server, or several separated by commas", "nats://localhost:4222")
      .optional("tls",
                kind::object({optional_text("ca", "file with the certificates to trust"),
                              optional_text("cert", "file with the client's certificate chain"),
                              optional_text("key", "file with the client's private key")}),
                "encrypts the connection; {} trusts the system's certificates")
      .optional("credentials", kind::text(), "file with a JWT and its seed (.creds)")
      .optional("nkey", kind::text(), "public NKey to log in with (U…); needs nkey_seed")
      .optional("nkey_seed", kind::text(), "file with the seed of nkey")
      .optional("user", kind::text(), "user name")
      .optional("password", kind::secret(), "password of user")
      .optional("token", kind::secret(), "token to log in with")
      .free_to_change({"url", "tls", "credentials", "nkey", "nkey_seed", "user"});
  return spec;
}

Access Access::from(const Settings& settings) {
  Access out;
  out.url = settings.text("url");
  if (settings.has("tls")) {
    const Settings& tls = settings.object("tls");
    out.tls = true;
    out.ca = text_or_empty(tls, "ca");
    out.cert = text_or_empty(tls, "cert");
    out.key = text_or_empty(tls, "key");
  }
  out.credentials = text_or_empty(settings, "credentials");
  out.nkey = text_or_empty(settings, "nkey");
  out.nkey_seed = text_or_empty(settings, "nkey_seed");
  out.user = text_or_empty(settings, "user");
  out.password = text_or_empty(settings, "password");
  out.token = text_or_empty(settings, "token");
  return out;
}

std::string url_problem(std::string_view urls) {
  bool any = false;
  for (const auto part : urls | std::views::split(',')) {
    std::string_view url{part};
    while (url.starts_with(' ')) url.remove_prefix(1);
    while (url.ends_with(' ')) url.remove_suffix(1);
    if (url.empty()) continue;
    any = true;
    if (auto problem = problem_of_url(url); !problem.empty()) return problem;
  }
  return any ? "" : "no server: write \"url\": \"nats://host:4222\"";
}

Result<void> Access::check() const {
  if (const auto problem = url_problem(url); !problem.empty())
    return fail(Error::Kind::invalid, "NATS: " + problem, "url");
  if (!nkey.empty()) {
    const auto text = read(nkey_seed, "nkey_seed");
    if (!text) return std::unexpected(text.error());
    if (!signs(seed_in(*text)))
      return fail(Error::Kind::invalid, weir::format("NATS: nkey_seed {} holds no user's seed (SU…)", nkey_seed),
                  "nkey_seed");
  }
  if (!credentials.empty()) {
    const auto text = read(credentials, "credentials");
    if (!text) return std::unexpected(text.error());
    if (!text->contains("-----BEGIN NATS USER JWT-----") ||
        !signs(seed_in(text->substr(std::min(text->rfind("BEGIN USER NKEY SEED"), text->size())))))
      return fail(Error::Kind::invalid,
                  weir::format("NATS: credentials {} is no credentials file: it must hold a user's JWT and its seed",
                               credentials),
                  "credentials");
  }
  return {};
}

std::vector<Error> access_problems(const Settings& settings) {
  std::vector<Error> out;
  const auto wrong = [&](std::string message, std::string setting) {
    out.push_back({Error::Kind::invalid, std::move(message), std::move(setting)});
  };
  if (auto problem = url_problem(settings.text("url")); !problem.empty()) wrong(std::move(problem), "url");
  const int logins = settings.has("credentials") + settings.has("nkey") + settings.has("user") + settings.has("token");
  if (logins > 1) {
    wrong("there are several ways to log in; keep one of credentials, nkey, user, token",
          settings.has("credentials") ? "credentials"
          : settings.has("nkey")      ? "nkey"
                                      : "user");
  }
  if (settings.has("nkey") && !settings.has("nkey_seed")) wrong("nkey needs nkey_seed, the file with its seed", "nkey");
  if (settings.has("nkey_seed") && !settings.has("nkey"))
    wrong("nkey_seed needs nkey, the public key (U…)", "nkey_seed");
  if (settings.has("password") && !settings.has("user")) wrong("password needs user", "password");
  if (settings.has("tls")) {
    const Settings& tls = settings.object("tls");
    if (tls.has("cert") != tls.has("key")) wrong("tls needs cert and key together, or neither", "tls");
  }
  return out;
}

}  // namespace weir::nats
