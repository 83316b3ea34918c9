#include "coordinator-less/protocol/address.hpp"

#include <doctest/doctest.h>

using starling::protocol::is_local_address;

TEST_CASE("addresses of one's own machine or cable are known in every spelling") {
  for (const char* local : {"127.0.0.1:1", "127.8.9.1:65535", "0.0.0.0:1", "169.254.169.254:80", "localhost:1", "LocalHost:1", "2130706433:1",
                            "0x7f.1:1", "[::1]:1", "[0:0:0:0:0:0:0:1]:1", "[0000::0001]:1", "[::]:1", "[fe80::1]:1", "[FEBF::1]:1",
                            "[::ffff:127.0.0.1]:1", "[::ffff:7f00:1]:1", "[::ffff:a9fe:1]:1", "[0:0:0:0:0:ffff:127.0.0.1]:1"}) {
    CAPTURE(local);
    CHECK(is_local_address(local));
  }
  for (const char* far : {"10.0.0.1:1", "192.168.1.1:1", "192.0.2.127:1", "128.0.0.1:1", "[2001:db8::1]:1", "[fd00::1]:1", "[::ffff:192.0.2.1]:1",
                          "host.example:1", "sim-3"}) {
    CAPTURE(far);
    CHECK_FALSE(is_local_address(far));
  }
}
