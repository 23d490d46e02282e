// The PC's side of these headers, and main(): setup() once, loop() for ever, or until standard input ends.
#include <netdb.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>

#include "WiFi.h"

HostSerial Serial;
HostWiFi WiFi;

static bool input_ended = false;

static bool readable(int file) {
  pollfd watched = {file, POLLIN, 0};
  return poll(&watched, 1, 0) > 0;
}

unsigned long millis() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

void delay(unsigned long ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

void yield() {}

uint32_t esp_random() { return std::random_device()(); }

int HostSerial::available() { return !input_ended && readable(STDIN_FILENO); }

int HostSerial::read() {
  uint8_t byte;
  if (::read(STDIN_FILENO, &byte, 1) == 1) return byte;
  input_ended = true;
  return -1;
}

size_t HostSerial::write(uint8_t byte) { return write(&byte, 1); }

size_t HostSerial::write(const uint8_t* bytes, size_t size) {
  ssize_t written = ::write(STDOUT_FILENO, bytes, size);
  return written < 0 ? 0 : written;
}

size_t HostSerial::print(const char* text) { return write((const uint8_t*)text, strlen(text)); }

size_t HostSerial::printf(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return print(text);
}

int WiFiClient::connect(IPAddress address, uint16_t port) {
  char host[16];
  snprintf(host, sizeof host, "%d.%d.%d.%d", address[0], address[1], address[2], address[3]);
  return connect(host, port);
}

int WiFiClient::connect(const char* host, uint16_t port) {
  stop();
  addrinfo wanted = {}, *found = nullptr;
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host, std::to_string(port).c_str(), &wanted, &found) != 0) return 0;
  socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
  bool connected = ::connect(socket_, found->ai_addr, found->ai_addrlen) == 0;
  freeaddrinfo(found);
  if (!connected) stop();
  return connected;
}

int WiFiClient::available() {
  int bytes = 0;
  if (socket_ < 0 || ioctl(socket_, FIONREAD, &bytes) != 0) return 0;
  return bytes;
}

int WiFiClient::read() {
  uint8_t byte;
  return read(&byte, 1) == 1 ? byte : -1;
}

int WiFiClient::read(uint8_t* bytes, size_t size) { return available() ? ::read(socket_, bytes, size) : -1; }

size_t WiFiClient::write(uint8_t byte) { return write(&byte, 1); }

size_t WiFiClient::write(const uint8_t* bytes, size_t size) {
  ssize_t written = socket_ < 0 ? -1 : ::send(socket_, bytes, size, MSG_NOSIGNAL);
  return written < 0 ? 0 : written;
}

void WiFiClient::stop() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

uint8_t WiFiClient::connected() {
  if (socket_ < 0) return 0;
  // Readable without a byte to read: the other end has closed.
  if (readable(socket_) && !available()) stop();
  return socket_ >= 0;
}

int main() {
  setup();
  while (!input_ended) {
    loop();
    delay(1);
  }
  return 0;
}
