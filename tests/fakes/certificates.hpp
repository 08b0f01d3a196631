/// Certificates for servers and clients under test.
#pragma once

#include <string>

#include <weir/format.hpp>

#include "fakes/nkeys.hpp"
#include "fakes/temporary_directory.hpp"

namespace weir::fakes {

/// A private authority, a certificate of the server and one of a client, both signed by it, and a stranger's.
class Certificates {
 public:
  Certificates() {
    self_signed("ca", "/CN=authority");
    self_signed("stranger", "/CN=stranger");
    signed_by_ca("server", "subjectAltName=IP:127.0.0.1");
    signed_by_ca("elsewhere", "subjectAltName=DNS:elsewhere.example");
    signed_by_ca("client", "extendedKeyUsage=clientAuth");
  }
  std::string certificate(const std::string& name) const { return files_.file(name + ".pem"); }
  std::string key(const std::string& name) const { return files_.file(name + ".key"); }
  const TemporaryDirectory& files() const { return files_; }

  /// Lines for the server's configuration; with `verify` clients must have certificates.
  std::string server(const std::string& name, bool verify) const {
    return "tls { cert_file: \"" + certificate(name) + "\", key_file: \"" + key(name) + "\", ca_file: \"" +
           certificate("ca") + "\", verify: " + (verify ? "true" : "false") + " }\n";
  }

 private:
  static constexpr const char* new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
  void self_signed(const std::string& name, const std::string& subject) const {
    run_openssl(
        weir::format("req -x509 {} -subj {} -keyout {} -out {}", new_key, subject, key(name), certificate(name)));
  }
  void signed_by_ca(const std::string& name, const std::string& extension) const {
    run_openssl(
        weir::format("req -x509 {} -subj /CN={} -addext {} -addext basicConstraints=critical,CA:FALSE -CA {} -CAkey {} "
                     "-keyout {} -out {}",
                     new_key, name, extension, certificate("ca"), key("ca"), key(name), certificate(name)));
  }
  TemporaryDirectory files_;
};

}  // namespace weir::fakes
