// Two kinds of actors: Station, a real transport with a recording sink, and Stranger, a raw ZeroMQ DEALER that breaks rules.
#pragma once

#include <dirent.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/crypto/identity.hpp"
#include "coordinator-less/net/hello.hpp"

namespace starling::net::test {

inline constexpr auto patience = std::chrono::seconds(20);  // how long a test waits for what must happen

class RealAuthenticator final : public Authenticator {
 public:
  RealAuthenticator(const crypto::Seed& seed, std::string secret)
      : identity_(crypto::Identity::from_seed(seed).value()), secret_(std::move(secret)) {}
  base::Signature sign(base::ByteView bytes) override { return identity_.sign(bytes); }
  bool verify(const base::PeerId& author, base::ByteView bytes, const base::Signature& signature) override {
    return crypto::verify(author, bytes, signature);
  }
  base::Digest mac(base::ByteView bytes) override {
    return secret_.empty() ? base::Digest{} : crypto::hmac_sha256(base::view(secret_), bytes);
  }
  bool equal(base::ByteView a, base::ByteView b) override { return crypto::equal_in_constant_time(a, b); }
  std::optional<std::array<std::byte, 32>> curve_key_of(const base::PeerId& id) override { return crypto::curve_key_of(id); }

 private:
  crypto::Identity identity_;
  std::string secret_;
};

inline base::NetworkId network(std::uint8_t number) {
  base::NetworkId id;
  id.bytes.fill(std::byte{number});
  return id;
}

template <class Predicate>
bool eventually(Predicate&& predicate, std::chrono::milliseconds limit = patience) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// What a sink was told; can be closed to play a user who has no room.
class Diary {
 public:
  bool take(Event&& event) {
    const std::scoped_lock lock(mutex_);
    if (!open_) {
      ++refused_;
      return false;
    }
    events_.push_back(std::move(event));
    changed_.notify_all();
    return true;
  }
  // Waits for the next event of this kind; earlier ones of other kinds stay for later calls.
  template <class T>
  std::optional<T> next(std::chrono::milliseconds limit = patience) {
    std::unique_lock lock(mutex_);
    std::optional<T> found;
    changed_.wait_for(lock, limit, [&] {
      const auto at = std::ranges::find_if(events_, [](const Event& event) { return std::holds_alternative<T>(event); });
      if (at == events_.end()) return false;
      found = std::get<T>(std::move(*at));
      events_.erase(at);
      return true;
    });
    return found;
  }
  template <class T>
  std::size_t count() {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(
        std::ranges::count_if(events_, [](const Event& event) { return std::holds_alternative<T>(event); }));
  }
  void set_open(bool open) {
    const std::scoped_lock lock(mutex_);
    open_ = open;
  }
  std::size_t refused() {
    const std::scoped_lock lock(mutex_);
    return refused_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  bool open_ = true;
  std::size_t refused_ = 0;
};

struct StationOptions {
  std::string secret = "secret";
  std::uint8_t network = 1;
  Role role = Role::worker;
  bool listen = true;
  std::optional<crypto::Seed> seed{};
  base::Duration hello_timeout = limits::hello_timeout;
  base::Duration unfinished_check_interval = limits::unfinished_check_interval;
  std::size_t inbound_links_max = limits::inbound_links_max;
  std::size_t inbound_links_per_address_max = limits::inbound_links_per_address_max;
};

inline TransportConfig config_for(const crypto::Identity& identity, const StationOptions& options) {
  TransportConfig config;
  config.self = identity.id();
  config.curve_public = identity.curve_public();
  config.curve_secret = identity.curve_secret();
  config.network = network(options.network);
  config.role = options.role;
  if (!options.listen) config.bind_host.clear();
  config.hello_timeout = options.hello_timeout;
  config.unfinished_check_interval = options.unfinished_check_interval;
  config.inbound_links_max = options.inbound_links_max;
  config.inbound_links_per_address_max = options.inbound_links_per_address_max;
  return config;
}

struct Station {
  explicit Station(const StationOptions& options = {})
      : identity(options.seed ? crypto::Identity::from_seed(*options.seed).value() : crypto::Identity::generate()),
        diary(std::make_shared<Diary>()) {
    auto started = Transport::start(config_for(identity, options),
                                    std::make_unique<RealAuthenticator>(identity.seed(), options.secret),
                                    [book = diary](Event&& event) { return book->take(std::move(event)); });
    if (!started) throw std::runtime_error(started.error().message);
    transport = std::move(*started);
  }
  const base::PeerId& id() const { return identity.id(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(transport->port()); }
  void dial(const Station& other) { transport->dial(other.id(), other.address()); }
  bool send(const base::PeerId& peer, std::string_view text) {
    return transport->send(peer, std::make_shared<const base::Bytes>(base::copy(base::view(text))));
  }

  crypto::Identity identity;
  std::shared_ptr<Diary> diary;
  std::unique_ptr<Transport> transport;
};

// A DEALER with a context of its own; the options that make it rude are set before connect().
class Stranger {
 public:
  Stranger() : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_DEALER)) {
    set(ZMQ_LINGER, 0);
    set(ZMQ_RECONNECT_IVL, -1);
    set(ZMQ_SNDTIMEO, 2000);
    zmq_socket_monitor(socket_, "inproc://life", ZMQ_EVENT_ALL);
    life_ = zmq_socket(context_, ZMQ_PAIR);
    zmq_connect(life_, "inproc://life");
  }
  ~Stranger() {
    zmq_socket_monitor(socket_, nullptr, 0);
    zmq_close(life_);
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  Stranger(const Stranger&) = delete;

  void set(int option, int value) { zmq_setsockopt(socket_, option, &value, sizeof value); }
  void set_text(int option, std::string_view value) { zmq_setsockopt(socket_, option, value.data(), value.size()); }
  Stranger& with_key(const crypto::Identity& identity, const crypto::CurveKey& server) {
    const auto public_key = identity.curve_public(), secret_key = identity.curve_secret();
    zmq_setsockopt(socket_, ZMQ_CURVE_PUBLICKEY, public_key.data(), 32);
    zmq_setsockopt(socket_, ZMQ_CURVE_SECRETKEY, secret_key.data(), 32);
    zmq_setsockopt(socket_, ZMQ_CURVE_SERVERKEY, server.data(), 32);
    return *this;
  }
  void connect(const std::string& address) { zmq_connect(socket_, ("tcp://" + address).c_str()); }
  bool send(base::ByteView bytes, int flags = 0) { return zmq_send(socket_, bytes.data(), bytes.size(), flags) >= 0; }
  std::optional<base::Bytes> receive(int limit_ms = 10'000) {
    set(ZMQ_RCVTIMEO, limit_ms);
    base::Bytes buffer(1 << 20);
    const int size = zmq_recv(socket_, buffer.data(), buffer.size(), 0);
    if (size < 0) return std::nullopt;
    buffer.resize(static_cast<std::size_t>(size));
    return buffer;
  }
  // Waits until ZeroMQ tells one of these events.
  bool sees(int events, int limit_ms = 10'000) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
    while (std::chrono::steady_clock::now() < deadline) {
      zmq_pollitem_t item{life_, 0, ZMQ_POLLIN, 0};
      if (zmq_poll(&item, 1, 50) <= 0) continue;
      std::uint8_t head[6];
      char name[256];
      zmq_recv(life_, head, sizeof head, 0);
      zmq_recv(life_, name, sizeof name, 0);
      std::uint16_t type = 0;
      std::memcpy(&type, head, sizeof type);
      if ((type & events) != 0) return true;
    }
    return false;
  }
  bool is_cut() { return sees(ZMQ_EVENT_DISCONNECTED); }
  void* socket() { return socket_; }

 private:
  void* context_;
  void* socket_;
  void* life_;
};

// The Hello that a proper dialler would send.
inline base::Bytes hello_from(const crypto::Identity& from, const base::PeerId& to, std::string secret = "secret",
                              std::uint8_t network_number = 1) {
  RealAuthenticator auth(from.seed(), std::move(secret));
  return encode_hello(
      make_hello(auth, network(network_number), Role::worker, Side::dialler, {.dialler = from.id(), .acceptor = to}));
}

inline std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

inline std::size_t resident_bytes() {
  std::size_t total = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%zu %zu", &total, &resident) != 2) resident = 0;
  if (file != nullptr) std::fclose(file);
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace starling::net::test
