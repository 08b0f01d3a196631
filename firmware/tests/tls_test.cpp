// TLS by Mbed TLS to a real nats-server: what must work, and what must not.
#include "fakes/certificates.hpp"
#include "mbedtls.h"
#include "real_server.hpp"

namespace weir::firmware {
namespace {

using fakes::Certificates;

class Tls : public testing::Test {
 protected:
  static std::string with_handshake_first(std::string conf) {
    return conf.replace(conf.rfind('}'), 1, ", handshake_first: true }");
  }

  /// The stream by a client that the server accepts.
  std::unique_ptr<Stream> stream(const fakes::Servers& servers, bool is_first = false) const {
    return std::make_unique<Stream>(servers.nats(), "vehicle.>", [&](natsOptions* options) {
      check(natsOptions_SetSecure(options, true));
      check(natsOptions_LoadCATrustedCertificates(options, certificates_.certificate("ca").c_str()));
      check(natsOptions_LoadCertificatesChain(options, certificates_.certificate("client").c_str(),
                                              certificates_.key("client").c_str()));
      if (is_first) check(natsOptions_TLSHandshakeFirst(options));
    });
  }

  static std::vector<std::uint8_t> pem(const std::string& file) {
    const auto text = fakes::read_file(file);
    std::vector<std::uint8_t> out{text.begin(), text.end()};
    out.push_back(0);
    return out;
  }

  /// A sensor with TLS over its sockets.
  struct Sensor : RealSensor {
    Sensor(const std::string& url, const std::string& authority, const Certificates* own = nullptr) : RealSensor{url} {
      authorities = pem(authority);
      WeirTlsConfig tls_config{};
      tls_config.below = &port;
      tls_config.authorities = authorities.data();
      tls_config.authorities_size = authorities.size();
      if (own != nullptr) {
        certificate = pem(own->certificate("client"));
        key = pem(own->key("client"));
        tls_config.certificate = certificate.data();
        tls_config.certificate_size = certificate.size();
        tls_config.key = key.data();
        tls_config.key_size = key.size();
      }
      if (weir_tls_port_init(&tls, &secure, &tls_config) != 0) throw std::runtime_error{"Mbed TLS"};
      config.nats.port = &secure;
      config.nats.tls = WEIR_TLS_AFTER_INFO;
    }
    ~Sensor() { weir_tls_port_free(&tls); }
    std::vector<std::uint8_t> authorities, certificate, key;
    WeirTlsPort tls{};
    WeirPort secure{};
  };

  static void expect_stored(Sensor& sensor, const Stream& into) {
    sensor.start();
    for (int i = 1; i <= 300; ++i) weir_sensor_sample(&sensor.sensor, i, i);
    ASSERT_TRUE(sensor.drain()) << int{sensor.sensor.nats.statistics.last_error} << " " << sensor.tls.last_error;
    EXPECT_EQ(into.samples().size(), 300U);
  }

  static void expect_refused(Sensor& sensor) {
    sensor.start();
    weir_sensor_sample(&sensor.sensor, 1, 1);
    EXPECT_TRUE(sensor.poll_until([&] { return sensor.sensor.nats.statistics.losses > 0; }));
    EXPECT_EQ(sensor.sensor.nats.statistics.last_error, WEIR_ERROR_TLS);
    EXPECT_EQ(sensor.sensor.nats.statistics.connects, 0U);
  }

  const Certificates certificates_;
};

TEST_F(Tls, beginsAfterInfo) {
  const fakes::Servers servers{"nats", certificates_.server("server", false)};
  const auto into = stream(servers);
  Sensor sensor{servers.nats(), certificates_.certificate("ca")};
  expect_stored(sensor, *into);
}

TEST_F(Tls, beginsBeforeInfo) {
  const fakes::Servers servers{"nats", with_handshake_first(certificates_.server("server", false))};
  const auto into = stream(servers, true);
  Sensor sensor{servers.nats(), certificates_.certificate("ca")};
  sensor.config.nats.tls = WEIR_TLS_FIRST;
  expect_stored(sensor, *into);
}

TEST_F(Tls, showsTheDevicesCertificate) {
  const fakes::Servers servers{"nats", certificates_.server("server", true)};
  const auto into = stream(servers);
  Sensor sensor{servers.nats(), certificates_.certificate("ca"), &certificates_};
  expect_stored(sensor, *into);
}

TEST_F(Tls, refusesAStrangersAuthority) {
  const fakes::Servers servers{"nats", certificates_.server("server", false)};
  Sensor sensor{servers.nats(), certificates_.certificate("stranger")};
  expect_refused(sensor);
}

TEST_F(Tls, refusesACertificateOfAnotherHost) {
  const fakes::Servers servers{"nats", certificates_.server("elsewhere", false)};
  Sensor sensor{servers.nats(), certificates_.certificate("ca")};
  expect_refused(sensor);
}

TEST_F(Tls, refusesAServerWithoutTls) {
  const fakes::Servers servers{"nats"};
  Sensor sensor{servers.nats(), certificates_.certificate("ca")};
  expect_refused(sensor);
}

}  // namespace
}  // namespace weir::firmware
