#include "clients/nats.hpp"

namespace weir::nats {
namespace {

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
      .optional("token", kind::secret(), "token to log in with");
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

std::vector<Error> access_problems(const Settings& settings) {
  std::vector<Error> out;
  const auto wrong = [&](std::string message, std::string setting) {
    out.push_back({Error::Kind::invalid, std::move(message), std::move(setting)});
  };
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
